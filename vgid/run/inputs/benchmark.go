package inputs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/vgid/origin"
	"vgid/vgid/people"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
)

// benchmark opens the configured benchmark, and builds it first where the
// configuration says what to build instead of where it is. All ranks call it.
// The same path on every rank; where that is the run's folder, Transfer has brought the
// files there.
func (in *Inputs) benchmark(ctx context.Context) (*dataset.Benchmark, error) {
	dir := in.Config.Data.Dir
	if dir == "" {
		dir = in.Dir.Path("data")
		if err := in.build(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := in.Transfer.Share(ctx, dir); err != nil {
		return nil, err
	}
	var b *dataset.Benchmark
	err := in.Ranks.Each(ctx, func(context.Context) (err error) {
		for _, b = range in.Opened.Benchmarks {
			if b.Dir() == dir {
				return nil
			}
		}
		b, err = formats.Open(dir)
		return err
	})
	return b, err
}

// build makes the benchmark on rank 0, unless a resumed run has made it of the same
// texts and settings.
// The texts are known by their content: where they lie may differ between runs.
func (in *Inputs) build(ctx context.Context, dir string) error {
	c := in.Config.Data
	s := rundir.Stage{Name: ledger.Data}
	var err error
	// Rank 0 alone reads the texts.
	s.Inputs, err = barrier.FromRank0(ctx, in.Ranks, func(ctx context.Context) (list origin.List, err error) {
		for _, text := range []struct{ purpose, path string }{{"profiles", c.Profiles}, {"splits", c.Splits}} {
			if text.path == "" {
				continue
			}
			f := origin.File{For: text.purpose, Name: filepath.Base(text.path)}
			if f.Size, f.SHA256, err = in.Files.One(ctx, text.path); err != nil {
				return nil, fmt.Errorf("data.%s: %w", text.purpose, err)
			}
			list = append(list, f)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	// Drawing every portrait again takes longer than reading the files to see that they
	// are as they were.
	was, err := in.Stages.Current(ctx, s.Name, s.Inputs)
	if err != nil || was.OK {
		return err
	}
	if was.Why != "" {
		in.Say("%s: made again: %s", dir, was.Why)
	}
	err = in.Ranks.Each(ctx, func(ctx context.Context) error {
		if in.Ranks.Rank() != 0 {
			return nil
		}
		build := people.BuildConfig{
			Out: dir, Seed: in.Config.Seed, Views: c.Views, Celebrities: c.Celebrities,
			ImageSize: c.ImageSize, Profiles: c.Profiles, Splits: c.Splits,
		}
		if c.Profiles == "" {
			var percent int
			if _, err := fmt.Sscanf(c.Forget, "forget_%d", &percent); err != nil {
				return fmt.Errorf("data.forget: %q is not forget_N, so there is no telling how many people to forget", c.Forget)
			}
			build.People, build.ForgetPercents = c.People, []int{percent}
		}
		_, err := people.Build(ctx, build)
		return err
	})
	if err != nil {
		return err
	}
	return in.Stages.Record(ctx, &s, dir)
}

// reading runs read on a benchmark on every rank, and fingerprints what it reads. The
// benchmark tells which files its answer depends on, also where it has them from
// before: only it knows which of its files hold a set. All ranks call it.
func (in *Inputs) reading(ctx context.Context, b *dataset.Benchmark, read func(*dataset.Benchmark) error) (origin.List, error) {
	return in.Files.Agree(ctx, func() ([]origin.Source, error) {
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
