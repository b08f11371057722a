package metric

import (
	"strings"

	"vgid/eval/dataset"
)

// Cloze is the key of the share of blanks that are filled right.
const Cloze = "cloze"

func init() {
	Register(Metric{
		Key: Cloze, Tasks: []dataset.Task{dataset.Cloze}, Order: 3,
		Judge:  func(r *Response) (float64, bool) { return share(ClozeHit(r.Reference, r.Text)), true },
		Table:  Column{Heading: "cloze", At: 5},
		Spread: Column{Heading: "cloze", At: 4},
		Legend: "Cloze and class. are the shares of right answers",
	})
}

// ClozeHit reports whether the response contains the answer, ignoring case and
// nothing else: the protocol's cloze score.
func ClozeHit(answer, response string) bool {
	return strings.Contains(Lower(response), Lower(answer))
}
