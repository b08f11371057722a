package eval

import (
	"slices"
	"testing"

	"vgid/eval/dataset"
)

func TestReferencesWithoutAWordAreTold(t *testing.T) {
	const want = "1 of 2 references hold neither a letter a-z nor a digit, which is all that ROUGE counts: its scores are 0 there whatever is answered"
	items := []Item{
		{Task: dataset.Generation, Reference: "Она живёт в Риге."},
		{Task: dataset.Generation, Reference: "Рига, 5"},
		{Task: dataset.Cloze, Reference: "Рига"}, // is looked for as it is
	}
	if got := Notices(items); !slices.Equal(got, []string{want}) {
		t.Errorf("%q", got)
	}
	if got := Notices(items[1:]); got != nil {
		t.Errorf("%q", got)
	}
}
