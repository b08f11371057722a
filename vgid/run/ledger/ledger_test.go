package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier/barriertest"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
	"vgid/vgid/train"
)

// onRanks runs f on ranks with the ledger of a run, each in a folder of its own, and
// gives what they said.
func onRanks(t *testing.T, c config.Config, outs []string, f func(ctx context.Context, rank int, l *Ledger) error) (said string, errs []error) {
	t.Helper()
	errs = barriertest.Run(t, len(outs), 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		say := func(format string, args ...any) {
			if r.Rank() == 0 {
				said += fmt.Sprintf(format, args...) + "\n"
			}
		}
		dir := rundir.New(outs[r.Rank()], c.Name)
		files := fingerprint.New(r.Group, say)
		disks := transfer.NewDisks(r.Group, dir, []string{"west", "east"}[r.Rank()], config.Plain)
		return f(ctx, r.Rank(), New(c, &Progress{Resumed: c.Resume, Spell: config.Plain}, r.Group, dir, files, disks, say))
	})
	return said, errs
}

// finished leaves a stage that has ended in a new folder.
func finished(t *testing.T, c config.Config) (out string, inputs origin.List) {
	t.Helper()
	out, inputs = t.TempDir(), origin.List{{For: "weights", Name: "model.safetensors", Size: 3, SHA256: strings.Repeat("7", 64)}}
	_, errs := onRanks(t, c, []string{out}, func(ctx context.Context, _ int, l *Ledger) error {
		s := rundir.Stage{Name: "gold", Model: l.dir.Path("gold", "model"), Inputs: inputs}
		if _, ok, err := l.Begin(ctx, s.Name, inputs); ok || err != nil {
			t.Errorf("a new stage: %t, %v", ok, err)
		}
		if err := rundir.WriteFile(filepath.Join(s.Model, "weights"), []byte("what was trained")); err != nil {
			return err
		}
		return l.Finish(ctx, &s, s.Model)
	})
	barriertest.All(t, errs)
	return out, inputs
}

// A finished stage is kept if it is of these settings and inputs and all that it made
// is there; else it is made again, and what is not as it was is named.
func TestBegin(t *testing.T) {
	c := config.Default()
	c.Name = "r"
	for _, tc := range []struct {
		name   string
		change func(c *config.Config, inputs *origin.List, dir string) error
		want   string // nothing: kept
	}{
		{"nothing", func(*config.Config, *origin.List, string) error { return nil }, ""},
		{"not resumed", func(c *config.Config, _ *origin.List, _ string) error { c.Resume = false; return nil }, "new"},
		{"a setting of another stage", func(c *config.Config, _ *origin.List, _ string) error { c.Unlearn.Alpha = 3; return nil }, ""},
		{"a setting", func(c *config.Config, _ *origin.List, _ string) error { c.Train.Steps = 77; return nil },
			"gold: made again: a setting it depends on is another (train.steps: "},
		{"an input", func(_ *config.Config, in *origin.List, _ string) error {
			*in = origin.List{{For: "weights", Name: "model.safetensors", Size: 3, SHA256: strings.Repeat("8", 64)}}
			return nil
		}, "gold: made again: model.safetensors (weights) has changed"},
		{"an input more", func(_ *config.Config, in *origin.List, _ string) error {
			*in = append(origin.List{{For: "set a", Name: "a"}}, *in...)
			return nil
		}, "gold: made again: a (set a) is new"},
		{"an output", func(_ *config.Config, _ *origin.List, dir string) error {
			return os.WriteFile(filepath.Join(dir, "model", "weights"), []byte("what was changed"), 0o644)
		}, "gold/model/weights is not as the stage left it"},
		{"no output", func(_ *config.Config, _ *origin.List, dir string) error {
			return os.RemoveAll(filepath.Join(dir, "model"))
		},
			"gold/model/weights is gone"},
		{"a record of an older version", func(_ *config.Config, _ *origin.List, dir string) error { return spoil(dir, `"inputs"`, `"others"`) },
			"its record does not say of which files it was made"},
		{"one older still", func(_ *config.Config, _ *origin.List, dir string) error { return spoil(dir, `"settings"`, `"others"`) },
			"its record does not say of which settings it was made"},
		{"a damaged record", func(_ *config.Config, _ *origin.List, dir string) error { return spoil(dir, `{`, `{{`) }, "cannot be read"},
		{"no record", func(_ *config.Config, _ *origin.List, dir string) error {
			return os.Remove(filepath.Join(dir, rundir.RecordFile))
		}, "new"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, inputs := finished(t, c)
			c := c
			c.Resume = true
			if err := tc.change(&c, &inputs, filepath.Join(out, "r", "gold")); err != nil {
				t.Fatal(err)
			}
			// The run may have moved.
			moved := filepath.Join(t.TempDir(), "elsewhere")
			if err := os.Rename(out, moved); err != nil {
				t.Fatal(err)
			}
			said, errs := onRanks(t, c, []string{moved}, func(ctx context.Context, _ int, l *Ledger) error {
				s, ok, err := l.Begin(ctx, "gold", inputs)
				if err != nil {
					return err
				}
				if ok != (tc.want == "") {
					t.Errorf("kept: %t", ok)
				}
				if ok && s.Model != filepath.Join(moved, "r", "gold", "model") {
					t.Errorf("the model is in %s", s.Model)
				}
				if kept := l.Kept(); ok != strings.HasPrefix(kept, "between stages; finished and kept: gold") {
					t.Errorf("kept: %t, but %s", ok, kept)
				}
				return nil
			})
			barriertest.All(t, errs)
			switch {
			case tc.want == "" || tc.want == "new":
				if said != "" {
					t.Errorf("said %q", said)
				}
			case !strings.Contains(said, tc.want) || !strings.HasPrefix(said, "gold: made again: "):
				t.Errorf("said %q, want %q", said, tc.want)
			}
		})
	}
}

// spoil replaces a part of a record.
func spoil(dir, old, new string) error {
	path := filepath.Join(dir, rundir.RecordFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(raw), old, new, 1)), 0o644)
}

// Work of a stage that lies with another rank than 0, finished or in the middle, ends
// the run on all ranks, with the rank named; it is not begun anew without a word.
func TestWorkOfAnotherRank(t *testing.T) {
	c := config.Default()
	c.Name, c.Resume = "r", true
	out, inputs := finished(t, c)
	begun := t.TempDir()
	if err := train.SaveCheckpoint(filepath.Join(begun, "r", "gold", "checkpoint"), c, inputs, train.State{Layout: "l"}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		outs []string
		want string
	}{
		"finished at rank 1":   {[]string{t.TempDir(), out}, "gold: rank 1 (node east) has work of this stage in its " + filepath.Join(out, "r")},
		"begun at rank 1":      {[]string{t.TempDir(), begun}, "gold: rank 1 (node east) has work of this stage in its " + filepath.Join(begun, "r")},
		"finished at rank 0":   {[]string{out, t.TempDir()}, ""},
		"in a folder for both": {[]string{out, out}, ""},
		"nowhere":              {[]string{t.TempDir(), t.TempDir()}, ""},
	} {
		_, errs := onRanks(t, c, tc.outs, func(ctx context.Context, rank int, l *Ledger) error {
			f, err := l.Current(ctx, "gold", inputs)
			if err == nil && f.OK != (tc.outs[0] == out) {
				t.Errorf("%s: rank %d may keep it: %t", name, rank, f.OK)
			}
			return err
		})
		for r, err := range errs {
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s, rank %d: %v, want %q", name, r, err, tc.want)
			}
		}
	}
}
