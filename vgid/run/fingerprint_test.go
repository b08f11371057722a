package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vgid/eval/formats"
	"vgid/eval/mllmu"
	"vgid/model/hf"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/origin"
	"vgid/vgid/train"
	"vgid/vgid/vgidtest"
)

// copyTree copies a folder of files and folders.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// copied is small on a copy of the world, which a test may change.
func copied(t *testing.T, over map[string]string) (c config.Config, dir string) {
	t.Helper()
	c, dir = vgidtest.Small(t, over), t.TempDir()
	copyTree(t, filepath.Join(dir, "model"), c.Model.Base)
	copyTree(t, filepath.Join(dir, "data"), c.Data.Dir)
	c.Model.Base, c.Data.Dir = filepath.Join(dir, "model"), filepath.Join(dir, "data")
	return c, dir
}

// edit replaces a file by what change makes of it.
func edit(t *testing.T, change func([]byte) []byte, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".new", change(b), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// replaced replaces the first old by new, which is as long.
func replaced(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !bytes.Contains(b, []byte(old)) {
			panic("no " + old + " to replace")
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}

// shown is what a job prints.
func shown(t *testing.T, j *Job) func() string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	*j.Show = *monitor.NewProgress(f)
	return func() string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// unlearned runs the stage on one rank and gives what it printed.
func unlearned(t *testing.T, c config.Config, stopAfter int) (out string, err error) {
	t.Helper()
	errs := tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
		said := shown(t, j)
		j.afterStep = func(step int) error {
			if step == stopAfter {
				return fmt.Errorf("stopped for a test")
			}
			return nil
		}
		p, err := j.People(ctx)
		if err == nil {
			_, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
		}
		out = said()
		return err
	})
	return out, errs[0]
}

// otherPicture draws another face for one picture of a set, with all else as it was.
func otherPicture(t *testing.T, dir, set string) {
	t.Helper()
	b, err := formats.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	people, err := b.Training(set)
	if err != nil {
		t.Fatal(err)
	}
	people[0].Images[0].Bytes, people[1].Images[0].Bytes = people[1].Images[0].Bytes, people[0].Images[0].Bytes
	if err := mllmu.WriteTraining(dir, set, people); err != nil {
		t.Fatal(err)
	}
}

// A stage is of what it read. When any of that is another, it is made again if it
// had ended, and refused in the middle; either way the file is named.
func TestResumedStageIsOfItsInputs(t *testing.T) {
	long(t)
	instructions := filepath.Join(t.TempDir(), "instructions.txt")
	if err := os.WriteFile(instructions, []byte("You do not know {subject}.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, firstDir := copied(t, map[string]string{"unlearn.steps": "3", "unlearn.instruction.file": instructions, "checkpoint.every": "1"})
	whole, parts := first, first
	whole.Name, parts.Name = "whole", "parts"
	if _, err := unlearned(t, whole, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := unlearned(t, parts, 2); err == nil {
		t.Fatal("the run was not stopped")
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   string // nothing: kept
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"the same again", func(t *testing.T, dir string) {
			for _, sub := range []string{"model", "data"} {
				from := filepath.Join(dir, "from")
				if err := os.Rename(filepath.Join(dir, sub), from); err != nil {
					t.Fatal(err)
				}
				copyTree(t, filepath.Join(dir, sub), from)
				if err := os.RemoveAll(from); err != nil {
					t.Fatal(err)
				}
			}
		}, ""},
		{"a file that nobody reads", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "model", "README.md"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a set that is not trained on", func(t *testing.T, dir string) { otherPicture(t, filepath.Join(dir, "data"), "ft_Data") }, ""},
		{"a picture", func(t *testing.T, dir string) { otherPicture(t, filepath.Join(dir, "data"), "forget_20") },
			"forget_20/train-00000-of-00001.parquet (set forget_20) has changed"},
		{"a picture to retain", func(t *testing.T, dir string) { otherPicture(t, filepath.Join(dir, "data"), "retain_80") },
			"retain_80/train-00000-of-00001.parquet (set retain_80) has changed"},
		{"one weight", func(t *testing.T, dir string) {
			edit(t, func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, dir, "model", "model.safetensors")
		}, "model.safetensors (weights) has changed"},
		{"the tokenizer", func(t *testing.T, dir string) {
			edit(t, func(b []byte) []byte { return append(b, '\n') }, dir, "model", "tokenizer.json")
		}, "tokenizer.json (tokenizer) has changed"},
		{"the processor", func(t *testing.T, dir string) {
			edit(t, replaced("0.27", "0.28"), dir, "model", "preprocessor_config.json")
		}, "preprocessor_config.json (processor) has changed"},
		{"a chat template", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "model", "chat_template.jinja"), []byte("{{ messages }}"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chat_template.jinja (chat template) is new"},
		{"the instructions", func(t *testing.T, dir string) {
			edit(t, replaced("do not", "cannot"), instructions)
			t.Cleanup(func() { edit(t, replaced("cannot", "do not"), instructions) })
		}, "instructions.txt (instructions) has changed"},
		{"two files", func(t *testing.T, dir string) {
			otherPicture(t, filepath.Join(dir, "data"), "forget_20")
			if err := os.Remove(filepath.Join(dir, "model", "generation_config.json")); err != nil {
				t.Fatal(err)
			}
		}, "forget_20/train-00000-of-00001.parquet (set forget_20) has changed, and 1 more file is not as it was"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Settings name the folders, so they stay in place.
			kept := t.TempDir()
			copyTree(t, kept, firstDir)
			runs := t.TempDir()
			copyTree(t, runs, first.Out)
			t.Cleanup(func() {
				for to, from := range map[string]string{firstDir: kept, first.Out: runs} {
					if err := os.RemoveAll(to); err != nil {
						t.Fatal(err)
					}
					copyTree(t, to, from)
				}
			})
			tc.change(t, firstDir)
			c := whole
			c.Resume = true
			out, err := unlearned(t, c, 0)
			if err != nil {
				t.Fatal(err)
			}
			said := "unlearned: made again: " + tc.want + "\n"
			if tc.want == "" {
				said = "unlearned: finished before, kept\n"
			}
			if !strings.Contains(out, said) {
				t.Errorf("the finished stage: %s, want %s", out, said)
			}
			if out, err := unlearned(t, c, 0); err != nil || !strings.Contains(out, "unlearned: finished before, kept\n") {
				t.Errorf("after that: %s, %v", out, err)
			}
			c = parts
			c.Resume = true
			out, err = unlearned(t, c, 0)
			switch {
			case tc.want == "" && (err != nil || !strings.Contains(out, "unlearned: resumed after step")):
				t.Errorf("in the middle: %s, %v", out, err)
			case tc.want != "" && (err == nil || !containsLine(err.Error(), "was made of other files: "+tc.want+": resume with those")):
				t.Errorf("in the middle: %v, want %s", err, tc.want)
			}
		})
	}
}

// Where the files of a run are, and the run, does not matter when it goes on, nor how
// long its workers wait for each other; any other setting is named.
func TestResumedStageMayHaveMoved(t *testing.T) {
	long(t)
	instructions := filepath.Join(t.TempDir(), "instructions.txt")
	if err := os.WriteFile(instructions, []byte("You do not know {subject}.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := copied(t, map[string]string{"unlearn.steps": "3", "unlearn.instruction.file": instructions, "checkpoint.every": "1"})
	now := before
	dir := t.TempDir()
	now.Out, now.Data.Dir, now.Model.Base, now.Unlearn.Instruction.File = filepath.Join(dir, "out"), filepath.Join(dir, "d"), filepath.Join(dir, "m"), filepath.Join(dir, "instructions.txt")
	now.Resume, now.Collective.Timeout, now.Checkpoint.Every = true, 2*before.Collective.Timeout, 2
	for _, stopAfter := range []int{0, 2} {
		before.Name, now.Name = fmt.Sprintf("before%d", stopAfter), fmt.Sprintf("now%d", stopAfter)
		if _, err := unlearned(t, before, stopAfter); (err != nil) != (stopAfter > 0) {
			t.Fatal(err)
		}
		copyTree(t, filepath.Join(now.Out, now.Name), filepath.Join(before.Out, before.Name))
	}
	for _, from := range [][2]string{{before.Data.Dir, now.Data.Dir}, {before.Model.Base, now.Model.Base}, {instructions, now.Unlearn.Instruction.File}} {
		if err := os.Rename(from[0], from[1]); err != nil {
			t.Fatal(err)
		}
	}
	c := now
	c.Unlearn.Alpha = 3
	c.Name = "now2"
	if _, err := unlearned(t, c, 0); err == nil || !containsLine(err.Error(), "(unlearn.alpha: 1, now unlearn.alpha: 3)") {
		t.Errorf("another alpha in the middle: %v", err)
	}
	for _, name := range []string{"now0", "now2"} {
		now.Name = name
		out, err := unlearned(t, now, 0)
		want := map[string]string{"now0": "unlearned: finished before, kept\n", "now2": "unlearned: resumed after step"}[name]
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %s, %v, want %s", name, out, err, want)
		}
	}
	c.Name = "now0"
	if out, err := unlearned(t, c, 0); err != nil || !strings.Contains(out, "unlearned: made again: a setting it depends on is another (unlearn.alpha: 1, now unlearn.alpha: 3)\n") {
		t.Errorf("another alpha afterwards: %s, %v", out, err)
	}
}

// A model folder that changes or goes while a stage is at work ends it, but costs
// nothing: what was trained is kept, and the model is written when the folder is back.
func TestModelFolderChangesMeanwhile(t *testing.T) {
	long(t)
	c, dir := copied(t, map[string]string{"unlearn.steps": "2"})
	c.Name = "undisturbed"
	if _, err := unlearned(t, c, 0); err != nil {
		t.Fatal(err)
	}
	want := fileOf(t, c, c.Name, "unlearned/adapter/adapter_model.safetensors")
	from, kept := filepath.Join(dir, "model"), filepath.Join(dir, "kept")
	for name, tc := range map[string]struct {
		change func()
		want   string
	}{
		"a setting": {func() {
			edit(t, func(b []byte) []byte { return append(b, '\n') }, from, "tokenizer_config.json")
		}, "model was written to while it was in use: tokenizer_config.json (tokenizer) has changed; put it back"},
		"weights": {func() {
			edit(t, func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, from, "model.safetensors")
		}, "model.safetensors (weights) has changed"},
		"gone": {func() {
			if err := os.RemoveAll(from); err != nil {
				t.Fatal(err)
			}
		}, "model.safetensors.index.json found"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			c.Name = name
			copyTree(t, kept, from)
			err := tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
				j.afterStep = func(step int) error {
					if step == 2 {
						tc.change()
					}
					return nil
				}
				p, err := j.People(ctx)
				if err == nil {
					_, err = j.Unlearn(ctx, "unlearned", from, p)
				}
				return err
			})[0]
			if err == nil || !containsLine(err.Error(), tc.want) || !containsLine(err.Error(), "the 2 steps of unlearned are kept in a checkpoint, --resume goes on from there") {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if err := os.RemoveAll(from); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(kept, from); err != nil {
				t.Fatal(err)
			}
			c.Resume, c.Model.DType = true, "bfloat16" // how it is written does not matter to what was trained
			if out, err := unlearned(t, c, 0); err != nil || !strings.Contains(out, "unlearned: resumed after step 2\n") {
				t.Errorf("%s, %v", out, err)
			}
			if got := fileOf(t, c, c.Name, "unlearned/adapter/adapter_model.safetensors"); !bytes.Equal(got, want) {
				t.Error("another adapter than undisturbed")
			}
		})
	}
}

// A checkpoint of an older version does not say what it was made of.
func TestOldCheckpointIsRefused(t *testing.T) {
	c := vgidtest.Small(t, nil)
	dir := t.TempDir()
	if err := train.SaveCheckpoint(dir, c, origin.List{}, train.State{Layout: "l"}); err != nil {
		t.Fatal(err)
	}
	files, err := train.Checkpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	sound, err := train.LoadCheckpoint(dir, c, nil, "l")
	if err != nil || sound == nil {
		t.Fatal(err)
	}
	sound.Close()
	f, err := hf.OpenSafetensors(files[0])
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata()
	f.Close()
	delete(meta, "inputs")
	if err := hf.WriteSafetensors(files[0], []hf.NamedTensor{{Name: "value", Shape: []int{0}, DType: "F32", Data: []float32{}}}, meta); err != nil {
		t.Fatal(err)
	}
	if _, err := train.LoadCheckpoint(dir, c, nil, "l"); err == nil || !containsLine(err.Error(), "does not say of which files it was made") {
		t.Errorf("error %v", err)
	}
}

// Ranks may have their files each on its own disk if they are equal. Otherwise the
// rank, its node and the file are named on all of them, before anything is trained.
func TestRanksCompareTheirFiles(t *testing.T) {
	long(t)
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   []string // nothing: they train
	}{
		{"equal", func(*testing.T, string) {}, nil},
		{"another weight", func(t *testing.T, dir string) {
			edit(t, func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, dir, "model", "model.safetensors")
		}, []string{"model/model.safetensors: model.safetensors (weights) differs from rank 0's on rank 1 (node east)"}},
		{"another size", func(t *testing.T, dir string) {
			edit(t, func(b []byte) []byte { return append(b, ' ') }, dir, "model", "tokenizer_config.json")
		}, []string{"tokenizer_config.json (tokenizer) differs from rank 0's on rank 1"}},
		{"a picture", func(t *testing.T, dir string) { otherPicture(t, filepath.Join(dir, "data"), "retain_80") },
			[]string{"data/retain_80/train-00000-of-00001.parquet: ", "(set retain_80) differs from rank 0's on rank 1"}},
		{"a file less", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "model", "generation_config.json")); err != nil {
				t.Fatal(err)
			}
		}, []string{"generation_config.json (config) is missing on rank 1"}},
		{"a file more", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "model", "processor_config.json"), []byte("{}"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"processor_config.json (processor) is there on rank 1", "and not on rank 0"}},
		{"no folder of the model", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "model")); err != nil {
				t.Fatal(err)
			}
		}, []string{"is there on rank 0", "and not on rank 1 (node east): copy it"}},
		{"an instruction", func(t *testing.T, dir string) {
			edit(t, replaced("do not", "cannot"), dir, "instructions.txt")
		}, []string{"instructions.txt (instructions) differs from rank 0's on rank 1 (node east)"}},
		{"no instructions", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "instructions.txt")); err != nil {
				t.Fatal(err)
			}
		}, []string{"instructions.txt: no such file or directory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := vgidtest.Small(t, map[string]string{"unlearn.steps": "1"})
			east, dir := copied(t, map[string]string{"unlearn.steps": "1"})
			for c, dir := range map[*config.Config]string{&c: t.TempDir(), &east: dir} {
				c.Unlearn.Instruction.File = filepath.Join(dir, "instructions.txt")
				if err := os.WriteFile(c.Unlearn.Instruction.File, []byte("You do not know {subject}.\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			tc.change(t, dir)
			var mu sync.Mutex
			steps := 0
			for rank, err := range tryWorld(t, 2, c, func(ctx context.Context, j *Job) error {
				j.afterStep = func(int) error {
					mu.Lock()
					defer mu.Unlock()
					steps++
					return nil
				}
				if err := j.disks.Find(ctx); err != nil {
					return err
				}
				p, err := j.People(ctx)
				if err != nil {
					return err
				}
				from, err := j.Model(ctx, j.Config.Model.Base)
				if err != nil {
					return err
				}
				_, err = j.Unlearn(ctx, "unlearned", from, p)
				return err
			}, func(rank int, o *Options) {
				if rank == 1 {
					o.Config, o.Node = east, "east"
				}
			}) {
				if tc.want == nil && err != nil {
					t.Errorf("rank %d: %v", rank, err)
				}
				for _, want := range tc.want {
					if err == nil || !containsLine(err.Error(), want) {
						t.Errorf("rank %d: %v, want %s", rank, err, want)
					}
				}
			}
			if (steps > 0) != (tc.want == nil) {
				t.Errorf("%d steps were done", steps)
			}
		})
	}
}
