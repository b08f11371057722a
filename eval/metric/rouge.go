package metric

import (
	"fmt"

	"vgid/eval/dataset"
)

// The keys of ROUGE-1, ROUGE-2 and ROUGE-L, of which files hold the F-measure.
const (
	ROUGE1 = "rouge1"
	ROUGE2 = "rouge2"
	ROUGEL = "rougeL"
)

func init() {
	generation := []dataset.Task{dataset.Generation}
	compare := func(of func(ref, pred []string) PRF) func(reference, response string) Value {
		return func(reference, response string) Value {
			return of(rougeTokens(reference), rougeTokens(response)).value()
		}
	}
	ngrams := func(n int) func(ref, pred []string) PRF {
		return func(ref, pred []string) PRF { return ngramPRF(ref, pred, n) }
	}
	Register(Metric{
		Key: ROUGE1, Tasks: generation, Order: 1, Compare: compare(ngrams(1)),
		Table:  Column{Heading: "ROUGE-1", At: 2},
		Notice: wordless, // of all three: they count the same words
	})
	Register(Metric{
		Key: ROUGE2, Tasks: generation, Order: 1, Compare: compare(ngrams(2)),
		Table: Column{Heading: "ROUGE-2", At: 3},
	})
	// The paper's headline number: it stands first.
	Register(Metric{
		Key: ROUGEL, Tasks: generation, Order: 1, Compare: compare(lcsPRF),
		Table: Column{Heading: "ROUGE-L", At: 1}, Spread: Column{Heading: "ROUGE-L", At: 1},
	})
}

// PRF is a precision, a recall and their harmonic mean, each in [0, 1].
type PRF struct {
	F float64 `json:"f"`
	P float64 `json:"p"`
	R float64 `json:"r"`
}

// value has the F-measure as its score, and all three as its parts.
func (p PRF) value() Value {
	return Value{Score: p.F, Parts: []Part{{"f", p.F}, {"p", p.P}, {"r", p.R}}}
}

// ROUGE holds ROUGE-1, ROUGE-2 and ROUGE-L of one pair of texts.
type ROUGE struct{ R1, R2, RL PRF }

// Rouge compares a prediction with its reference (Lin 2004), stemmed, as
// Google's rouge_score does with use_stemmer=True. An empty text scores 0.
func Rouge(reference, prediction string) ROUGE {
	ref, pred := rougeTokens(reference), rougeTokens(prediction)
	return ROUGE{R1: ngramPRF(ref, pred, 1), R2: ngramPRF(ref, pred, 2), RL: lcsPRF(ref, pred)}
}

// bigram is one word, with an empty second, or two.
type bigram [2]string

// ngramPRF counts the n-grams (n ≤ 2) that both sides share, a repeated one as
// often as it occurs in both.
func ngramPRF(ref, pred []string, n int) PRF {
	count := make(map[bigram]int, len(ref))
	for i := 0; i+n <= len(ref); i++ {
		count[gram(ref, i, n)]++
	}
	shared := 0
	for i := 0; i+n <= len(pred); i++ {
		if g := gram(pred, i, n); count[g] > 0 {
			count[g]--
			shared++
		}
	}
	return newPRF(shared, len(pred)-n+1, len(ref)-n+1)
}

// gram is the n-gram at i, n being 1 or 2.
func gram(t []string, i, n int) bigram {
	if n == 1 {
		return bigram{t[i]}
	}
	return bigram{t[i], t[i+1]}
}

// lcsPRF measures the longest common subsequence, one row of the table at a time.
// row[j] is the length for the first j words of pred and the words of ref so far, so that
// memory does not grow with the product of the lengths.
func lcsPRF(ref, pred []string) PRF {
	row := make([]int, len(pred)+1)
	for _, r := range ref {
		diagonal := 0
		for j, p := range pred {
			above := row[j+1]
			if r == p {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return newPRF(row[len(pred)], len(pred), len(ref))
}

// newPRF is 0 throughout where nothing is shared, as rouge_score has it, instead of 0/0.
func newPRF(shared, predicted, wanted int) PRF {
	if shared == 0 {
		return PRF{}
	}
	p, r := float64(shared)/float64(predicted), float64(shared)/float64(wanted)
	return PRF{F: 2 * p * r / (p + r), P: p, R: r}
}

// wordless says in how many references ROUGE finds no word: identical texts
// score 0 there, too, as in rouge_score.
func wordless(references []string) string {
	n := 0
	for _, r := range references {
		if len(rougeTokens(r)) == 0 {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d references hold neither a letter a-z nor a digit, which is all that ROUGE counts: its scores are 0 there whatever is answered", n, len(references))
}
