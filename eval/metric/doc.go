// Package metric turns responses into numbers.
//
// A metric is one file: its function, its source, and an init that registers it.
// Whatever writes, averages or shows numbers asks the registry and names no
// metric but ROUGE-L, the number that reports begin with. What must hold of a
// metric: it lies in [0, 1], is a function of its response alone, and is the
// better the nearer to 1. So a mean over questions has the same range, does not
// depend on which rank asked what, and columns can be read side by side.
//
// Begin with Metric, then read bleu.go, the shortest with a published source.
//
// Sources: Lin (2004) for ROUGE, computed as Google's rouge_score does with
// its Porter stemmer; Papineni et al. (2002) for BLEU with the first smoothing
// of Chen & Cherry (2014), computed as NLTK's sentence_bleu does; MLLMU-Bench
// (arXiv 2410.22108) for how choices and blanks are read.
package metric
