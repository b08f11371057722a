package ledger

import (
	"testing"

	"vgid/vgid/config"
)

// A run that is asked to end between steps tells where it was and what is kept.
func TestKept(t *testing.T) {
	for _, tc := range []struct {
		doing  string
		done   []string
		resume bool
		want   string
	}{
		{"", nil, false, "before the first stage; no stage is finished"},
		{"", nil, true, "before the first stage; what was finished before is kept"},
		{"gold", []string{"vanilla"}, true, "before a step of gold; finished and kept: vanilla"},
		{"", []string{"vanilla", "gold"}, false, "between stages; finished and kept: vanilla, gold"},
		{"eval-gold", []string{"vanilla", "gold"}, false, "in the evaluation of gold, which begins again; finished and kept: vanilla, gold"},
		{"teacher", []string{"vanilla"}, false, "in the look at the teacher, which begins again; finished and kept: vanilla"},
	} {
		p := Progress{Resumed: tc.resume, Spell: config.Plain, doing: tc.doing, done: tc.done}
		if got := p.Kept(); got != tc.want+"; continue with resume" {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}
