package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/vgid/config"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
	"vgid/vgid/vgidtest"
)

// apart are the configurations of ranks with run folders of their own: ranks of the
// same number in disks see the same one.
func apart(t *testing.T, c config.Config, disks ...int) []config.Config {
	t.Helper()
	out := make([]config.Config, len(disks))
	for r, d := range disks {
		out[r] = c
		out[r].Out = filepath.Join(c.Out, fmt.Sprint("disk", d))
	}
	return out
}

// onDisks runs f on workers with configurations of their own.
func onDisks(t *testing.T, own []config.Config, f func(ctx context.Context, j *Job) error, changes ...change) []error {
	t.Helper()
	changes = append(changes, func(rank int, o *Options) { o.Config = own[rank] })
	return tryWorld(t, len(own), own[0], f, changes...)
}

func mustAll(t *testing.T, errs []error) {
	t.Helper()
	for r, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
}

// contents are the files below a folder, temporary and hidden ones included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A whole job on workers that do not see each other's run folders: what rank 0 makes
// reaches them, what comes out is to the bit what comes out of a shared folder, and
// it can be resumed.
func TestRunWithoutASharedFolder(t *testing.T) {
	long(t)
	over := map[string]string{
		"data.dir": "", "data.people": "5", "data.views": "1", "data.celebrities": "2", "train.steps": "2", "unlearn.steps": "4",
		"checkpoint.every": "2", "eval.max_new": "3", "data.eval_people": "1",
	}
	c := vgidtest.Small(t, over)
	one := apart(t, c, 0, 0, 0)
	whole := func(ctx context.Context, j *Job) error {
		return j.Run(ctx)
	}
	mustAll(t, onDisks(t, one, whole))
	c.Out = t.TempDir()
	own := apart(t, c, 0, 1, 1)
	stopping := func(ctx context.Context, j *Job) error {
		j.afterStep = func(step int) error {
			if step == 3 { // of unlearning: vanilla has two
				return fmt.Errorf("stopped for a test")
			}
			return nil
		}
		return j.Run(ctx)
	}
	for r, err := range onDisks(t, own, stopping) {
		if err == nil {
			t.Fatalf("rank %d was not stopped", r)
		}
	}
	for r := range own {
		own[r].Resume = true
	}
	var said func() string
	mustAll(t, onDisks(t, own, func(ctx context.Context, j *Job) error {
		if j.ranks.Rank() == 0 {
			said = shown(t, j)
		}
		return j.Run(ctx)
	}))
	for _, want := range []string{"vanilla: finished before, kept", "unlearned: resumed after step 2"} {
		if !strings.Contains(said(), want) {
			t.Errorf("the resumed run does not say %q:\n%s", want, said())
		}
	}
	mustAll(t, onDisks(t, own, whole)) // all is finished

	want, got := contents(t, filepath.Join(one[0].Out, c.Name)), contents(t, filepath.Join(own[0].Out, c.Name))
	for name, b := range want {
		switch filepath.Base(name) {
		case rundir.RecordFile, "summary.json", "report.html", "adapter_config.json", "timing.jsonl": // with times and paths
			continue
		}
		if got[name] != b {
			t.Errorf("%s is not what a shared folder gives", name)
		}
	}
	other := contents(t, filepath.Join(own[1].Out, c.Name))
	for _, model := range []string{eval.Vanilla, eval.Gold, eval.Unlearned} {
		name := filepath.Join(model, "model", "model.safetensors")
		if other[name] == "" || other[name] != want[name] {
			t.Errorf("%s did not arrive whole", name)
		}
	}
	for name := range other {
		if strings.HasPrefix(filepath.Base(name), ".") && name != transfer.ReceivedFile {
			t.Errorf("%s is left on the other disk", name)
		}
		if filepath.Dir(name) == "." && name != transfer.ReceivedFile || strings.Contains(name, "checkpoint") {
			t.Errorf("%s is on the other disk: results lie at rank 0", name)
		}
	}
}

// The work of a stage that lies with another rank is not begun anew without a word.
func TestWorkOfAnotherRankIsNamed(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "1"})
	own := apart(t, c, 0, 1)
	run := func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err == nil {
			_, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
		}
		return err
	}
	nodes := func(rank int, o *Options) { o.Node = []string{"west", "east"}[rank] }
	mustAll(t, onDisks(t, own, run, nodes))
	slices.Reverse(own)
	for r := range own {
		own[r].Resume = true
	}
	for r, err := range onDisks(t, own, run, nodes) {
		if err == nil || !containsLine(err.Error(), "unlearned: rank 1 (node east) has work of this stage") {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	for r := range own { // another run of that name, with rank 0 on the other machine
		own[r].Resume = false
	}
	mustAll(t, onDisks(t, own, run, nodes))
	mustAll(t, onDisks(t, own, func(ctx context.Context, j *Job) error {
		return j.inputs.Transfer.Share(ctx, j.dir.Path("unlearned", "model"))
	}))
}
