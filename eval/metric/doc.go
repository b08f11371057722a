// Package metric turns answers into numbers that lie in [0, 1].
//
// Sources: Lin (2004) for ROUGE, computed as Google's rouge_score does with
// its Porter stemmer; Papineni et al. (2002) for BLEU with the first smoothing
// of Chen & Cherry (2014), computed as NLTK's sentence_bleu does; MLLMU-Bench
// (arXiv 2410.22108) for how choices and blanks are read.
package metric
