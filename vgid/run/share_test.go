package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/vgid/config"
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
		"data.dir": "", "data.people": "10", "data.views": "2", "data.celebrities": "6", "train.steps": "2", "unlearn.steps": "4",
		"checkpoint.every": "2", "eval.max_new": "3",
	}
	c := small(t, over)
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
		case stageFile, "summary.json", "report.html", "adapter_config.json": // with times and paths
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
		if strings.HasPrefix(filepath.Base(name), ".") && name != receivedFile {
			t.Errorf("%s is left on the other disk", name)
		}
		if filepath.Dir(name) == "." && name != receivedFile || strings.Contains(name, "checkpoint") {
			t.Errorf("%s is on the other disk: results lie at rank 0", name)
		}
	}
}

// What comes is what rank 0 has, chunk by chunk, whatever was there of earlier runs.
func TestShare(t *testing.T) {
	c := small(t, nil)
	own := apart(t, c, 0, 1, 2, 1)
	folder := func(r int) string { return filepath.Join(own[r].Out, c.Name) }
	large := bytes.Repeat([]byte("0123456789abcdef"), (sharePiece+shareChunk)/16)
	write := func(r int, name string, b []byte) {
		t.Helper()
		path := filepath.Join(folder(r), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	share := func(dir string) []error {
		return onDisks(t, own, func(ctx context.Context, j *Job) error { return j.share(ctx, j.path(dir)) })
	}
	same := func(step string, disks ...int) {
		t.Helper()
		want := contents(t, filepath.Join(folder(0), "m"))
		for _, r := range disks {
			got := contents(t, filepath.Join(folder(r), "m"))
			delete(got, ".mine")
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s: rank %d has %d bytes of %s, rank 0 %d", step, r, len(got[name]), name, len(want[name]))
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: rank %d has %d files, rank 0 %d", step, r, len(got), len(want))
			}
		}
	}
	write(0, "m/large", append(large, "the end"...))
	write(0, "m/empty", nil)
	write(0, "m/sub/small", []byte("small"))
	write(0, "other/file", []byte("not asked for"))
	write(2, "m/.mine", []byte("hidden"))
	write(0, "m/equal", []byte("equal"))
	write(2, "m/equal", []byte("equal")) // whoever wrote it
	mustAll(t, share("m"))
	same("first", 1, 2)
	if _, err := os.Stat(filepath.Join(folder(1), "other")); err == nil {
		t.Error("another folder came, too")
	}
	before, err := os.Stat(filepath.Join(folder(1), "m/large"))
	if err != nil {
		t.Fatal(err)
	}

	// The next run of that name has other files.
	write(0, "m/sub/small", []byte("SMALL"))
	write(0, "m/new", []byte("new"))
	if err := os.Remove(filepath.Join(folder(0), "m/empty")); err != nil {
		t.Fatal(err)
	}
	write(1, "m/.new.part-ABC", []byte("cut off by a crash"))
	mustAll(t, share("m"))
	same("second", 1, 2)
	if after, err := os.Stat(filepath.Join(folder(1), "m/large")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the large file was sent again (%v)", err)
	}

	// Folders outside the run's, and those that rank 0 does not have, are not sent.
	mustAll(t, share("../elsewhere"))
	mustAll(t, share("."))
	mustAll(t, share("nothing"))

	// What nobody is known to have made stays.
	for _, tc := range []struct{ name, content, want string }{
		{"m/new", "mine", "m/new is not what rank 0 has there"},
		{"m/extra", "mine", "m/extra is not what rank 0 has there"},
	} {
		write(2, tc.name, []byte(tc.content))
		for r, err := range share("m") {
			if err == nil || !containsLine(err.Error(), tc.want) {
				t.Errorf("rank %d: %v, want %s", r, err, tc.want)
			}
		}
		if b, err := os.ReadFile(filepath.Join(folder(2), tc.name)); err != nil || string(b) != tc.content {
			t.Errorf("%s holds %q, %v", tc.name, b, err)
		}
		if err := os.Remove(filepath.Join(folder(2), tc.name)); err != nil {
			t.Fatal(err)
		}
	}
	mustAll(t, share("m"))
	same("last", 1, 2)
}

// Nothing is written outside of the run's folder, wherever links in it lead.
func TestShareStaysInTheRunFolder(t *testing.T) {
	for _, link := range []string{"m", "m/sub", "m/sub/file"} {
		c := small(t, nil)
		own := apart(t, c, 0, 1)
		outside := t.TempDir()
		if err := os.WriteFile(filepath.Join(outside, "file"), []byte("theirs"), 0o644); err != nil {
			t.Fatal(err)
		}
		from := filepath.Join(own[0].Out, c.Name, "m/sub")
		if err := os.MkdirAll(from, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, "file"), []byte("ours"), 0o644); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(own[1].Out, c.Name, link)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		to := outside
		if link == "m/sub/file" {
			to = filepath.Join(outside, "file")
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
		for r, err := range onDisks(t, own, func(ctx context.Context, j *Job) error { return j.share(ctx, j.path("m")) }) {
			if err == nil {
				t.Errorf("%s is a link: rank %d does not mind", link, r)
			}
		}
		if got := contents(t, outside); len(got) != 1 || got["file"] != "theirs" {
			t.Errorf("%s is a link: outside there is %v", link, got)
		}
	}
}

// Where one rank cannot read or write, all end with its reason, and nothing is left
// half.
func TestShareEndsTogether(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, dirs [2]string)
		want  string
	}{
		{"a folder in the place of a file", func(t *testing.T, dirs [2]string) {
			if err := os.MkdirAll(filepath.Join(dirs[1], "m/file"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "m/file"},
		{"a damaged list of what came", func(t *testing.T, dirs [2]string) {
			if err := os.WriteFile(filepath.Join(dirs[1], receivedFile), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, receivedFile + ": unexpected end"},
		{"a name that is not sent", func(t *testing.T, dirs [2]string) {
			if err := os.WriteFile(filepath.Join(dirs[0], `m/a\b`), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "no plain path"},
		{"a link that leads nowhere", func(t *testing.T, dirs [2]string) {
			if err := os.Symlink("gone", filepath.Join(dirs[0], "m/link")); err != nil {
				t.Fatal(err)
			}
		}, "m/link"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := small(t, nil)
			own := apart(t, c, 0, 1)
			var dirs [2]string
			for r := range dirs {
				dirs[r] = filepath.Join(own[r].Out, c.Name)
				if err := os.MkdirAll(dirs[r], 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dirs[0], "m"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dirs[0], "m/file"), []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, dirs)
			for r, err := range onDisks(t, own, func(ctx context.Context, j *Job) error { return j.share(ctx, j.path("m")) }) {
				if err == nil || !containsLine(err.Error(), tc.want) {
					t.Errorf("rank %d: %v, want %s", r, err, tc.want)
				}
			}
			for name := range contents(t, dirs[1]) {
				if name != receivedFile {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// A file that changes while it is sent is not kept.
func TestShareOfAFileThatChanges(t *testing.T) {
	c := small(t, nil)
	own := apart(t, c, 0, 1)
	file := filepath.Join(own[0].Out, c.Name, "m/file")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, now := range []string{"after!", "cut"} {
		for r, err := range onDisks(t, own, func(ctx context.Context, j *Job) error {
			if j.ranks.Rank() == 0 { // as if it had been read before
				_, _, err := j.digest(ctx, file)
				if err != nil {
					return err
				}
				sum := ""
				for _, s := range j.hashed {
					sum = s
				}
				if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
					return err
				}
				if _, _, err := j.digest(ctx, file); err != nil {
					return err
				}
				for id := range j.hashed {
					j.hashed[id] = strings.Repeat("0", len(sum))
				}
			}
			return j.share(ctx, j.path("m"))
		}) {
			if err == nil || !containsLine(err.Error(), "was written to while it was sent") {
				t.Errorf("%s: rank %d: %v", now, r, err)
			}
		}
		if got := contents(t, filepath.Join(own[1].Out, c.Name)); len(got) > 1 {
			t.Errorf("%s: %v is left", now, got)
		}
	}
}

// The work of a stage that lies with another rank is not begun anew without a word.
func TestWorkOfAnotherRankIsNamed(t *testing.T) {
	c := small(t, map[string]string{"unlearn.steps": "1"})
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
	mustAll(t, onDisks(t, own, func(ctx context.Context, j *Job) error { return j.share(ctx, j.path("unlearned", "model")) }))
}
