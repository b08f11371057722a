package eval

import (
	"fmt"

	"vgid/vgid/data"
)

// wordless says that ROUGE finds no word in n of the references: identical texts
// score 0 there, too, as in rouge_score.
func wordless(n, of int) []string {
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d references hold neither a letter a-z nor a digit, which is all that ROUGE counts: its scores are 0 there whatever is answered", n, of)}
}

// Notices are things about the questions that a user should know, one line each.
func Notices(items []Item) []string {
	n, of := 0, 0
	for i := range items {
		if items[i].Task != data.Generation {
			continue
		}
		of++
		if len(rougeTokens(items[i].Reference)) == 0 {
			n++
		}
	}
	return wordless(n, of)
}
