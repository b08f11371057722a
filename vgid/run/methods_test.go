package run

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/vgid/vgidtest"
)

// A run by another method than VGID: its losses move as its formula has it, the
// report calls them by their names, and nobody looks at a teacher that sees what the
// student sees.
func TestRunByOtherMethods(t *testing.T) {
	long(t)
	for _, tc := range []struct {
		method, title string
		up            bool // the forget term rises
	}{
		{"graddiff", "Forget cross-entropy", true},
		{"npo", "Forget loss", false},
	} {
		t.Run(tc.method, func(t *testing.T) {
			c := vgidtest.Small(t, map[string]string{"unlearn.method": tc.method, "unlearn.steps": "8", "unlearn.optim.lr": "3e-2", "train.steps": "2"})
			onWorld(t, 2, c, func(ctx context.Context, j *Job) error {
				if err := j.Open(ctx); err != nil {
					return err
				}
				return j.Run(ctx)
			})
			h, err := ReadHistory(filepath.Join(c.Out, c.Name, "unlearned", "history.jsonl"))
			if err != nil || len(h) != 8 {
				t.Fatalf("%d steps, %v", len(h), err)
			}
			first, last := h[0].Loss["forget"], h[len(h)-1].Loss["forget"]
			if first <= 0 || h[0].Loss["retain"] <= 0 || (last > first) != tc.up {
				t.Errorf("forget from %g to %g, retain from %g", first, last, h[0].Loss["retain"])
			}
			page, err := os.ReadFile(filepath.Join(c.Out, c.Name, "report.html"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(page), tc.title) || strings.Contains(string(page), "Forget KL") {
				t.Errorf("the report does not call the loss %q", tc.title)
			}
			if _, err := os.Stat(filepath.Join(c.Out, c.Name, "teacher.json")); !os.IsNotExist(err) {
				t.Errorf("the teacher was looked at: %v", err)
			}
		})
	}
}
