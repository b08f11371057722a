package vgid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"vgid/model"
	"vgid/model/hf"
	"vgid/model/hub"
	"vgid/vgid/config"
	"vgid/vgid/data"
)

// TrainBase trains a model on the base corpus: the quickstart's starting point.
func (j *Job) TrainBase(ctx context.Context) (Stage, error) {
	from, err := j.ModelDir(ctx, j.Config.Model.Base)
	if err != nil {
		return Stage{}, err
	}
	t := j.Config.Train
	src, err := NewCorpus(j.Config.Seed, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
	if err != nil {
		return Stage{}, err
	}
	return j.supervised(ctx, "base", from, src, nil, t.Steps)
}

// People are the persons of a run, with their training questions.
type People struct {
	Benchmark      *data.Benchmark
	Forget, Retain []data.Profile
	RetainSplit    string
}

// People reads the configured splits.
func (j *Job) People(ctx context.Context) (*People, error) {
	p := &People{}
	var err error
	if p.RetainSplit, err = j.RetainSplit(); err != nil {
		return nil, err
	}
	if p.Benchmark, err = j.Benchmark(ctx); err != nil {
		return nil, err
	}
	if p.Forget, err = p.Benchmark.Training(j.Config.Data.Forget); err != nil {
		return nil, err
	}
	p.Retain, err = p.Benchmark.Training(p.RetainSplit)
	return p, err
}

// Reference fine-tunes the base model of the folder from into one of the two
// models that unlearning stands between: "vanilla" on all people, "gold" on
// the retain set only. Gold takes as many steps a person as vanilla.
func (j *Job) Reference(ctx context.Context, name, from string, p *People) (Stage, error) {
	t := j.Config.Train
	profiles, steps := p.Retain, t.Steps
	all := len(p.Forget) + len(p.Retain)
	if name == "vanilla" {
		profiles = slices.Concat(p.Forget, p.Retain)
	} else {
		steps = (steps*len(p.Retain) + all/2) / all
	}
	src, err := NewPeople(profiles, t.Mix, t.TextOnly, j.Config.Seed, name, j.Config.Prompt.Subject)
	if err != nil {
		return Stage{}, err
	}
	if t.Replay > 0 {
		old, err := NewCorpus(j.Config.Seed+1, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
		if err != nil {
			return Stage{}, err
		}
		src = Blend(src, old, t.Replay, j.Config.Seed)
	}
	return j.supervised(ctx, name, from, src, profiles, steps)
}

// supervised fine-tunes on src, in which the questions of people occur.
func (j *Job) supervised(ctx context.Context, name, from string, src Source, people []data.Profile, steps int) (Stage, error) {
	s, ok, err := j.finished(ctx, name)
	if err != nil {
		return Stage{}, err
	}
	if ok {
		j.Show.Printf("%s: finished before, kept", name)
		return s, nil
	}
	m, enc, err := j.open(ctx, from)
	if err != nil {
		return Stage{}, err
	}
	defer m.Close()
	if err := enc.Fits(name, people, j.Config.Prompt.Subject, nil); err != nil {
		return Stage{}, err
	}
	t := j.Config.Train
	if err := j.choose(m, t.LoRA, t.Modules); err != nil {
		return Stage{}, err
	}
	m.Recompute = t.Recompute
	obj := NewSupervised(m, enc, src, t)
	defer obj.Close()
	return j.loop(ctx, name, from, m, obj, t.Optim, steps)
}

// Unlearn distils the vanilla model of the folder from into one that has
// forgotten the forget profiles.
func (j *Job) Unlearn(ctx context.Context, name, from string, p *People) (Stage, error) {
	s, ok, err := j.finished(ctx, name)
	if err != nil {
		return Stage{}, err
	}
	if ok {
		j.Show.Printf("%s: finished before, kept", name)
		return s, nil
	}
	u := j.Config.Unlearn
	fsrc, err := NewPeople(p.Forget, u.Mix, u.TextOnly, j.Config.Seed, "forget", j.Config.Prompt.Subject)
	if err != nil {
		return Stage{}, err
	}
	var rsrc Source
	if u.BatchRetain > 0 {
		if rsrc, err = NewPeople(p.Retain, u.Mix, u.TextOnly, j.Config.Seed, "retain", j.Config.Prompt.Subject); err != nil {
			return Stage{}, err
		}
		if u.Outside > 0 {
			parts := config.Corpus{Celebrity: 1}
			out, err := NewCorpus(j.Config.Seed+2, parts, u.Mix, u.TextOnly, j.Config.Data.ImageSize)
			if err != nil {
				return Stage{}, err
			}
			rsrc = Blend(rsrc, out, u.Outside, j.Config.Seed)
		}
	}
	instructions, err := j.instructions()
	if err != nil {
		return Stage{}, err
	}
	m, enc, err := j.open(ctx, from)
	if err != nil {
		return Stage{}, err
	}
	defer m.Close()
	if err := enc.Fits("forget", p.Forget, j.Config.Prompt.Subject, instructions); err != nil {
		return Stage{}, err
	}
	if rsrc != nil {
		if err := enc.Fits("retain", p.Retain, j.Config.Prompt.Subject, nil); err != nil {
			return Stage{}, err
		}
	}
	var teacher *model.Model
	if u.LoRA.R == 0 { // the weights themselves change: the teacher needs its own
		if teacher, err = m.Clone(); err != nil {
			return Stage{}, err
		}
		defer teacher.Close()
	}
	if err := j.choose(m, u.LoRA, u.Modules); err != nil {
		return Stage{}, err
	}
	m.Recompute = u.Recompute
	obj, err := NewDistill(m, teacher, enc, u, j.Config.Seed, instructions, fsrc, rsrc)
	if err != nil {
		return Stage{}, err
	}
	defer obj.Close()
	return j.loop(ctx, name, from, m, obj, u.Optim, u.Steps)
}

// instructions are the templates in use.
func (j *Job) instructions() ([]string, error) {
	c := j.Config.Unlearn.Instruction
	all := data.DefaultInstructions()
	if c.File != "" {
		var err error
		if all, err = data.LoadInstructions(c.File); err != nil {
			return nil, err
		}
	}
	return limit(all, c.Take), nil
}

func (j *Job) open(ctx context.Context, dir string) (*model.Model, *Encoder, error) {
	m, err := model.LoadAs(ctx, j.Backend, dir, model.LoadOptions{Weights: j.Config.Model.Weights})
	if err != nil {
		return nil, nil, err
	}
	enc, err := NewEncoder(dir, m, j.Config.Prompt)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, enc, nil
}

var errStopped = errors.New("stopped for a test")

// loop runs a stage's steps, with checkpoints, and writes its model.
func (j *Job) loop(ctx context.Context, name, from string, m *model.Model, obj Objective, optim config.Optim, steps int) (Stage, error) {
	begin := time.Now()
	stage := Stage{Name: name, Steps: steps, Model: j.path(name, "model")}
	t, err := NewTrainer(name, j.Comm, m, obj, optim, steps, j.Config.Seed, j.Config.Collective)
	if err != nil {
		return stage, err
	}
	defer t.Close()
	ckpt := j.path(name, "checkpoint")
	if j.Config.Resume {
		s, ok, err := LoadCheckpoint(ckpt, j.Config.For(name).Digest(), t.layout())
		if err != nil {
			return stage, err
		}
		if ok {
			if err := t.Restore(s); err != nil {
				return stage, fmt.Errorf("checkpoint %s: %w", ckpt, err)
			}
			j.Show.Printf("%s: resumed after step %d", name, s.Step)
		}
	}
	if err := j.resumeAlike(ctx, name, fmt.Sprintf("goes on after step %d", t.step)); err != nil {
		return stage, err
	}
	hist, err := j.openHistory(name, t.step)
	if err != nil {
		return stage, err
	}
	defer hist.Close()
	j.Show.Start(name, steps, "steps")
	for t.step < t.steps {
		r, err := t.Step(ctx)
		if err != nil {
			return stage, err
		}
		j.Metrics.Observe(r.Phases)
		if err := hist.add(r); err != nil {
			return stage, err
		}
		j.Show.Update(r.Step, lossText(r))
		if r.Step == j.stopAfter {
			return stage, errStopped
		}
		if every := j.Config.Checkpoint.Every; every > 0 && r.Step%every == 0 && r.Step < steps {
			if err := j.checkpoint(ctx, ckpt, t); err != nil {
				return stage, err
			}
		}
	}
	if err := hist.Close(); err != nil {
		return stage, err
	}
	if stage.Adapter, err = j.save(ctx, name, from, m); err != nil {
		return stage, err
	}
	// With what a kill in the middle of writing left there.
	if err := j.onLead(ctx, func() error { return os.RemoveAll(ckpt) }); err != nil {
		return stage, err
	}
	j.Show.Finish(hist.last)
	stage.Seconds = time.Since(begin).Seconds()
	return stage, j.finish(ctx, &stage)
}

func (j *Job) checkpoint(ctx context.Context, dir string, t *Trainer) error {
	return j.onLead(ctx, func() error {
		s, err := t.State()
		if err != nil {
			return err
		}
		return SaveCheckpoint(dir, j.Config.For(t.stage).Digest(), s)
	})
}

// save writes the stage's model, with an adapter also on its own in PEFT's
// format and merged into the weights in the model folder.
func (j *Job) save(ctx context.Context, name, from string, m *model.Model) (adapter string, err error) {
	if _, ok := m.Adapter(); ok {
		adapter = j.path(name, "adapter")
	}
	return adapter, j.onLead(ctx, func() error {
		if adapter != "" {
			err := hf.ReplaceFolder(adapter, func(dir string) error { return m.SaveAdapter(dir, hub.Name(from)) })
			if err != nil {
				return err
			}
		}
		return hf.ReplaceFolder(j.path(name, "model"), func(dir string) error {
			if err := hf.CopyAssets(dir, from); err != nil {
				return err
			}
			return m.Save(dir, model.SaveOptions{DType: j.Config.Model.DType, Merge: true})
		})
	})
}
