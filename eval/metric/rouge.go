package metric

// PRF is a precision, a recall and their harmonic mean, each in [0, 1].
type PRF struct {
	F float64 `json:"f"`
	P float64 `json:"p"`
	R float64 `json:"r"`
}

// ROUGE holds ROUGE-1, ROUGE-2 and ROUGE-L of one pair of texts.
type ROUGE struct{ R1, R2, RL PRF }

// Rouge compares a prediction with its reference (Lin 2004), stemmed, as
// Google's rouge_score does with use_stemmer=True. An empty text scores 0.
func Rouge(reference, prediction string) ROUGE {
	ref, pred := rougeTokens(reference), rougeTokens(prediction)
	return ROUGE{R1: ngramPRF(ref, pred, 1), R2: ngramPRF(ref, pred, 2), RL: lcsPRF(ref, pred)}
}

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

func gram(t []string, i, n int) bigram {
	if n == 1 {
		return bigram{t[i]}
	}
	return bigram{t[i], t[i+1]}
}

// lcsPRF measures the longest common subsequence, one row of the table at a time.
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

func newPRF(shared, predicted, wanted int) PRF {
	if shared == 0 {
		return PRF{}
	}
	p, r := float64(shared)/float64(predicted), float64(shared)/float64(wanted)
	return PRF{F: 2 * p * r / (p + r), P: p, R: r}
}
