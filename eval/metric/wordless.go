package metric

import "fmt"

// WordlessNotice says that ROUGE finds no word in n of the references: identical texts
// score 0 there, too, as in rouge_score.
func WordlessNotice(n, of int) []string {
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d references hold neither a letter a-z nor a digit, which is all that ROUGE counts: its scores are 0 there whatever is answered", n, of)}
}

// Wordless reports whether ROUGE finds no word in a reference.
func Wordless(reference string) bool { return len(rougeTokens(reference)) == 0 }
