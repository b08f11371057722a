package metric

import (
	"math"
	"strings"

	"vgid/eval/dataset"
)

// BLEU is the key of Bleu.
const BLEU = "bleu"

func init() {
	Register(Metric{
		Key: BLEU, Tasks: []dataset.Task{dataset.Generation}, Order: 2,
		Compare: func(reference, response string) Value { return Value{Score: Bleu(reference, response)} },
		Table:   Column{Heading: "BLEU", At: 4},
	})
}

// Bleu is the BLEU of one sentence against one reference (Papineni et al.
// 2002): whitespace tokens, 1- to 4-grams with equal weight, brevity penalty,
// and a count of 0.1 for an order without any match (method 1 of Chen & Cherry
// 2014); NLTK's sentence_bleu with SmoothingFunction().method1.
func Bleu(reference, prediction string) float64 {
	ref, pred := fields(reference), fields(prediction)
	var logs float64
	for n := 1; n <= 4; n++ {
		shared, all := sharedNgrams(ref, pred, n)
		if shared == 0 && n == 1 {
			return 0
		}
		num := float64(shared)
		if shared == 0 {
			num = .1
		}
		logs += .25 * math.Log(num/float64(max(all, 1)))
	}
	brevity := 1.0
	if len(pred) <= len(ref) {
		brevity = math.Exp(1 - float64(len(ref))/float64(len(pred)))
	}
	return brevity * math.Exp(logs)
}

// sharedNgrams counts those of pred, and how many of them ref has too: one that is repeated
// counts as often as ref repeats it.
func sharedNgrams(ref, pred []string, n int) (shared, all int) {
	count := map[string]int{}
	for i := 0; i+n <= len(ref); i++ {
		count[strings.Join(ref[i:i+n], " ")]++
	}
	for i := 0; i+n <= len(pred); i++ {
		all++
		if g := strings.Join(pred[i:i+n], " "); count[g] > 0 {
			count[g]--
			shared++
		}
	}
	return shared, all
}
