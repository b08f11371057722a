package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/vgid/config"
	"vgid/vgid/vgidtest"
)

// What an interrupted run left is gone on from as it is, or refused with what to do;
// it is never begun again over.
func TestWhatAnEarlierRunLeft(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "3", "checkpoint.every": "1"})
	if _, err := unlearned(t, c, 2); err == nil {
		t.Fatal("the run was not stopped")
	}
	left, err := filepath.Glob(filepath.Join(c.Out, c.Name, "unlearned", "checkpoint", "step-*.safetensors"))
	if err != nil || len(left) != 1 {
		t.Fatalf("checkpoints %v, %v", left, err)
	}
	file, err := filepath.Rel(c.Out, left[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, c *config.Config)
		says   []string // on its way
		fails  []string // in its error; nothing: it ends well
	}{
		{"gone on from", func(*testing.T, *config.Config) {}, []string{"unlearned: resumed after step 1"}, nil},
		{"begun again", func(_ *testing.T, c *config.Config) { c.Resume = false }, nil,
			[]string{"unlearned: ", "step-0", "is of a run that was interrupted", "--resume goes on from there", "--name begins another run"}},
		{"another configuration", func(_ *testing.T, c *config.Config) { c.Unlearn.Alpha = 2 }, nil,
			[]string{"step-0", "was made with another configuration (", ", now ", "remove the checkpoint to start the stage afresh"}},
		{"half a checkpoint", func(t *testing.T, c *config.Config) {
			if err := os.Truncate(filepath.Join(c.Out, file), 20000); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"step-0", "truncated", "remove it to start the stage afresh"}},
		{"no checkpoint", func(t *testing.T, c *config.Config) {
			if err := os.Remove(filepath.Join(c.Out, file)); err != nil {
				t.Fatal(err)
			}
		}, []string{"no checkpoint of unlearned found, starting from the beginning"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c
			from := c.Out
			c.Out, c.Resume = t.TempDir(), true
			copyTree(t, c.Out, from)
			tc.change(t, &c)
			out, err := unlearned(t, c, 0)
			if (err == nil) != (tc.fails == nil) {
				t.Fatal(err)
			}
			for _, want := range tc.says {
				if !strings.Contains(out, want) {
					t.Errorf("%q does not say %q", out, want)
				}
			}
			for _, want := range tc.fails {
				if !containsLine(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}
