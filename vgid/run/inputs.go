package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/model/hub"
	"vgid/vgid/origin"
	"vgid/vgid/people"
	"vgid/vgid/quickstart"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
)

// Benchmark opens the configured benchmark, and builds it first where the
// configuration says what to build instead of where it is. All ranks call it.
func (j *Job) Benchmark(ctx context.Context) (*dataset.Benchmark, error) {
	dir := j.Config.Data.Dir
	if dir == "" {
		dir = j.dir.Path("data")
		if err := j.build(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := j.transfer.Share(ctx, dir); err != nil {
		return nil, err
	}
	var b *dataset.Benchmark
	_, err := j.ranks.Barrier(ctx, func(context.Context) (_ []byte, err error) {
		b, err = formats.Open(dir)
		return nil, err
	})
	return b, err
}

// build makes the benchmark on rank 0, unless a resumed run has made it of the same
// texts and settings.
func (j *Job) build(ctx context.Context, dir string) error {
	c := j.Config.Data
	s := rundir.Stage{Name: ledger.Data}
	var err error
	// Rank 0 alone reads the texts.
	s.Inputs, err = barrier.FromRank0(ctx, j.ranks, func(ctx context.Context) (list origin.List, err error) {
		for _, in := range []struct{ purpose, path string }{{"profiles", c.Profiles}, {"splits", c.Splits}} {
			if in.path == "" {
				continue
			}
			f := origin.File{For: in.purpose, Name: filepath.Base(in.path)}
			if f.Size, f.SHA256, err = j.files.One(ctx, in.path); err != nil {
				return nil, fmt.Errorf("data.%s: %w", in.purpose, err)
			}
			list = append(list, f)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	was, err := j.stages.Current(ctx, s.Name, s.Inputs)
	if err != nil || was.OK {
		return err
	}
	if was.Why != "" {
		j.Show.Printf("%s: made again: %s", dir, was.Why)
	}
	_, err = j.ranks.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
		if j.ranks.Rank() != 0 {
			return nil, nil
		}
		build := people.BuildConfig{
			Out: dir, Seed: j.Config.Seed, Views: c.Views, Celebrities: c.Celebrities,
			ImageSize: c.ImageSize, Profiles: c.Profiles, Splits: c.Splits,
		}
		if c.Profiles == "" {
			var percent int
			if _, err := fmt.Sscanf(c.Forget, "forget_%d", &percent); err != nil {
				return nil, fmt.Errorf("data.forget: %q is not forget_N, so there is no telling how many people to forget", c.Forget)
			}
			build.People, build.ForgetPercents = c.People, []int{percent}
		}
		_, err := people.Build(ctx, build)
		return nil, err
	})
	if err != nil {
		return err
	}
	return j.stages.Record(ctx, &s, dir)
}

// reading runs read on a benchmark on every rank, and fingerprints what it reads.
func (j *Job) reading(ctx context.Context, b *dataset.Benchmark, read func(*dataset.Benchmark) error) (origin.List, error) {
	return j.files.Agree(ctx, func() ([]origin.Source, error) {
		var list []origin.Source
		var failed error
		seen := map[string]bool{}
		err := read(b.Noting(func(set, path string) {
			if seen[set+"\n"+path] {
				return
			}
			seen[set+"\n"+path] = true
			s := origin.Source{For: "set " + set, Path: path}
			_, id, err := origin.Stat(path)
			if err == nil {
				s.ID = id
				s.Name, err = filepath.Rel(b.Dir(), path)
			}
			s.Name = filepath.ToSlash(s.Name)
			failed = errors.Join(failed, err)
			list = append(list, s)
		}))
		if err != nil { // which says more
			return nil, err
		}
		return list, failed
	})
}

// modelFiles fingerprints a model folder, once every rank has it.
func (j *Job) modelFiles(ctx context.Context, dir string) (origin.List, error) {
	if err := j.transfer.Share(ctx, dir); err != nil {
		return nil, err
	}
	return j.files.Agree(ctx, func() ([]origin.Source, error) { return origin.Model(dir) })
}

// readBeside fingerprints a model folder, beside what else a stage reads. All ranks
// call it.
func (j *Job) readBeside(ctx context.Context, others origin.List, dir string) (origin.List, error) {
	files, err := j.modelFiles(ctx, dir)
	return union(others, files), err
}

// unchanged refuses a model folder that is not as it was when a stage read it, beside
// others. All ranks call it.
func (j *Job) unchanged(ctx context.Context, others origin.List, dir string, was origin.List) error {
	now, err := j.readBeside(ctx, others, dir)
	if err != nil {
		return err
	}
	if c := was.Changes(now); len(c) > 0 {
		return fmt.Errorf("model folder %s was written to while it was in use: %s; put it back as it was", dir, origin.Words(c))
	}
	return nil
}

// templates are the instructions in use, and the file they were read from.
type templates struct {
	texts []string
	files origin.List
}

// instructions reads the configured templates of instructions, once. All ranks call
// it.
func (j *Job) instructions(ctx context.Context) (*templates, error) {
	if j.templates != nil {
		return j.templates, nil
	}
	c := j.Config.Unlearn.Instruction
	if c.File == "" {
		j.templates = &templates{texts: limit(people.DefaultInstructions(), c.Take)}
		return j.templates, nil
	}
	var t templates
	var err error
	t.files, err = j.files.Agree(ctx, func() ([]origin.Source, error) {
		s := origin.Source{For: "instructions", Name: filepath.Base(c.File), Path: c.File}
		_, s.ID, _ = origin.Stat(c.File) // who reads it says what is wrong
		all, err := people.LoadInstructions(c.File)
		t.texts = limit(all, c.Take)
		return []origin.Source{s}, err
	})
	if err != nil {
		return nil, err
	}
	j.templates = &t
	return j.templates, nil
}

// ModelDir resolves a model reference to a folder that every rank has: a built-in
// one is written into the run's folder first, one of a hub fetched into each
// machine's cache. All ranks call it.
func (j *Job) ModelDir(ctx context.Context, ref string) (string, error) {
	made := func(name string, write func(dir string) error) (string, error) {
		dir := j.dir.Path(name)
		if err := j.ranks.OnRank0(ctx, func() error { return write(dir) }); err != nil {
			return "", err
		}
		return dir, j.transfer.Share(ctx, dir)
	}
	if ref == "" {
		return "", errors.New("model.base is empty: give a Hugging Face folder, or " + quickstart.Builtin)
	}
	switch name, write, err := quickstart.Find(ref); {
	case err != nil:
		return "", err
	case name != "":
		return made(name, func(dir string) error { return write(j.Backend, dir, j.Config.Seed) })
	}
	if err := j.transfer.Share(ctx, ref); err != nil {
		return "", err
	}
	const folder, name, nothing = "a model folder", "a name", ""
	found, err := barrier.Gather(ctx, j.ranks, func(context.Context) (string, error) {
		if _, err := os.Stat(filepath.Join(ref, "config.json")); err == nil {
			return folder, nil
		}
		if _, ok := hub.ParseRef(ref); ok {
			if _, err := os.Stat(ref); errors.Is(err, fs.ErrNotExist) {
				return name, nil
			}
		}
		return nothing, nil
	})
	if err != nil {
		return "", err
	}
	for r, f := range found {
		if (f == folder) != (found[0] == folder) || (f == name) != (found[0] == name) {
			with, without := 0, r
			if f == folder {
				with, without = r, 0
			}
			return "", fmt.Errorf("model folder %s is there on %s and not on %s: copy it to every machine, or keep it on a disk that all share", ref, j.ranks.Name(with), j.ranks.Name(without))
		}
	}
	switch found[0] {
	case folder:
		return ref, nil
	case name:
		return j.fetch(ctx, ref)
	}
	if _, err := os.Stat(filepath.Join(ref, "adapter_config.json")); err == nil {
		return "", fmt.Errorf("model folder %s holds a PEFT adapter alone: vgid merge adds it to its base model; give the folder that makes", ref)
	}
	return "", fmt.Errorf("model folder %s: no config.json there; give a Hugging Face folder, the ORG/NAME of a model on the hub, or %s", ref, quickstart.Builtin)
}
