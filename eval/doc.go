// Package eval asks a model the questions of MLLMU-Bench and scores what it
// answers.
//
// The way through it: BuildItems turns profiles into prompts in one global
// order; Run gives each rank its share of them, hands the share to an
// Answerer and gathers the answers of all ranks; Tally makes the metrics;
// Summary, Table and WriteReport show them.
//
// Every metric lies in [0, 1]. Sources: MLLMU-Bench (arXiv 2410.22108) for the
// protocol; Lin (2004) for ROUGE, computed as Google's rouge_score does with
// its Porter stemmer; Papineni et al. (2002) for BLEU with the first smoothing
// of Chen & Cherry (2014), computed as NLTK's sentence_bleu does.
package eval
