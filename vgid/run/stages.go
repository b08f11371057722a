package run

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/model"
	"vgid/vgid/ask"
	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

// TrainBase trains a model on the base corpus: the quickstart's starting point.
func (j *Job) TrainBase(ctx context.Context) (rundir.Stage, error) {
	from, err := j.ModelDir(ctx, j.Config.Model.Base)
	if err != nil {
		return rundir.Stage{}, err
	}
	t := j.Config.Train
	src, err := train.NewCorpus(j.Config.Seed, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
	if err != nil {
		return rundir.Stage{}, err
	}
	return j.supervised(ctx, "base", from, src, nil, nil, t.Steps)
}

// People are the persons of a run, with their training questions.
type People struct {
	Benchmark      *dataset.Benchmark
	Forget, Retain []dataset.Profile
	RetainSplit    string

	forgetFiles, retainFiles origin.List // what they were read from
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
	p.forgetFiles, err = j.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		p.Forget, err = b.Training(j.Config.Data.Forget, p.RetainSplit)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.retainFiles, err = j.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		p.Retain, err = b.Training(p.RetainSplit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, p.apart(j.Config.Data.Forget)
}

// apart refuses sets that ask for the same answer to be forgotten and kept.
// One person in both is fine as long as pictures or questions differ.
func (p *People) apart(forget string) error {
	kept := map[string]*dataset.Profile{}
	for i := range p.Retain {
		kept[p.Retain[i].ID] = &p.Retain[i]
	}
	for _, f := range p.Forget {
		r := kept[f.ID]
		if r == nil || !slices.ContainsFunc(f.Images, func(x dataset.Image) bool {
			return slices.ContainsFunc(r.Images, func(y dataset.Image) bool { return bytes.Equal(x.Bytes, y.Bytes) })
		}) {
			continue
		}
		if i := slices.IndexFunc(f.Train, func(q dataset.QA) bool { return slices.Contains(r.Train, q) }); i >= 0 {
			return fmt.Errorf("person %s, question %q: it is in %s and in %s with the same image, so it would be forgotten and retained; choose other sets in data.forget and data.retain", f.ID, ask.Clip(f.Train[i].Question), forget, p.RetainSplit)
		}
	}
	return nil
}

// Reference fine-tunes the base model of the folder from into one of the two
// models that unlearning stands between: "vanilla" on all people, "gold" on
// the retain set only. Gold takes as many steps a person as vanilla.
func (j *Job) Reference(ctx context.Context, name, from string, p *People) (rundir.Stage, error) {
	t := j.Config.Train
	profiles, steps := p.Retain, t.Steps
	all := len(p.Forget) + len(p.Retain)
	if name == "vanilla" {
		profiles = slices.Concat(p.Forget, p.Retain)
	} else {
		steps = (steps*len(p.Retain) + all/2) / all
	}
	src, err := train.NewPeople(profiles, t.Mix, t.TextOnly, j.Config.Seed, name, j.Config.Prompt.Subject)
	if err != nil {
		return rundir.Stage{}, err
	}
	if t.Replay > 0 {
		old, err := train.NewCorpus(j.Config.Seed+1, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
		if err != nil {
			return rundir.Stage{}, err
		}
		src = train.Blend(src, old, t.Replay, j.Config.Seed)
	}
	if err := j.lookAt(ctx, profiles); err != nil {
		return rundir.Stage{}, err
	}
	return j.supervised(ctx, name, from, src, profiles, p.files(name), steps)
}

// files are what the people of a stage's training were read from.
func (p *People) files(stage string) origin.List {
	if stage == eval.Gold {
		return p.retainFiles
	}
	return union(p.forgetFiles, p.retainFiles)
}

// union is a list of files, each once.
func union(lists ...origin.List) origin.List {
	out := origin.List{}
	seen := map[origin.File]bool{}
	for _, f := range slices.Concat(lists...) {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// supervised fine-tunes on src, in which the questions of people occur; they were
// read from files.
func (j *Job) supervised(ctx context.Context, name, from string, src train.Source, people []dataset.Profile, files origin.List, steps int) (rundir.Stage, error) {
	return j.train(ctx, training{
		name: name, from: from, reads: files, section: "train", steps: steps, optim: j.Config.Train.Optim,
		fits: func(enc *train.Encoder) error {
			return enc.Fits(train.Lesson{Set: name, People: people, Subject: j.Config.Prompt.Subject})
		},
		begin: func(j *Job, m *model.Model, enc *train.Encoder) (train.Objective, error) {
			t := j.Config.Train
			if err := j.choose(m, t.LoRA, t.Modules); err != nil {
				return nil, err
			}
			m.Recompute = t.Recompute
			return train.NewSupervised(m, enc, src, t), nil
		},
	})
}

// Unlearn makes of the vanilla model of the folder from one that has forgotten the
// forget profiles, by the configured method.
func (j *Job) Unlearn(ctx context.Context, name, from string, p *People) (rundir.Stage, error) {
	t, err := j.unlearning(ctx, name, from, p)
	if err != nil {
		return rundir.Stage{}, err
	}
	if err := j.lookAt(ctx, p.Forget, p.Retain); err != nil {
		return rundir.Stage{}, err
	}
	return j.train(ctx, t)
}

// unlearning is the stage, and what it reads beside the model. All ranks call it.
func (j *Job) unlearning(ctx context.Context, name, from string, p *People) (training, error) {
	u := j.Config.Unlearn
	method, err := train.FindMethod(u)
	if err != nil {
		return training{}, err
	}
	read := &templates{}
	if method.Needs.Instruction {
		if read, err = j.instructions(ctx); err != nil {
			return training{}, err
		}
	}
	fsrc, err := train.NewPeople(p.Forget, u.Mix, u.TextOnly, j.Config.Seed, "forget", j.Config.Prompt.Subject)
	if err != nil {
		return training{}, err
	}
	var rsrc train.Source
	if u.BatchRetain > 0 {
		if rsrc, err = train.NewPeople(p.Retain, u.Mix, u.TextOnly, j.Config.Seed, "retain", j.Config.Prompt.Subject); err != nil {
			return training{}, err
		}
		if u.Outside > 0 {
			parts := config.Corpus{Celebrity: 1}
			out, err := train.NewCorpus(j.Config.Seed+2, parts, u.Mix, u.TextOnly, j.Config.Data.ImageSize)
			if err != nil {
				return training{}, err
			}
			rsrc = train.Blend(rsrc, out, u.Outside, j.Config.Seed)
		}
	}
	return training{
		name: name, from: from, reads: union(p.files(name), read.files), section: "unlearn", steps: u.Steps, optim: u.Optim,
		fits: func(enc *train.Encoder) error {
			l := train.Lesson{Set: "forget", People: p.Forget, Subject: j.Config.Prompt.Subject, Rollout: u.Responses == "rollout"}
			if u.Instruction.Use != "never" {
				l.Instructions, l.TextOnly = read.texts, u.Instruction.Use == "text-only"
			}
			if err := enc.Fits(l); err != nil || rsrc == nil {
				return err
			}
			return enc.Fits(train.Lesson{Set: "retain", People: p.Retain, Subject: j.Config.Prompt.Subject})
		},
		begin: func(j *Job, m *model.Model, enc *train.Encoder) (train.Objective, error) {
			u := j.Config.Unlearn
			s := train.Setup{
				Student: m, Encoder: enc, Config: u, Seed: j.Config.Seed,
				Instructions: read.texts, Forget: fsrc, Retain: rsrc, Rehearsal: j.rehearsal,
			}
			if method.Needs.Teacher && u.LoRA.R == 0 { // the weights themselves change: the teacher needs its own
				var err error
				if s.Teacher, err = m.Clone(); err != nil {
					return nil, err
				}
			}
			m.Recompute = u.Recompute
			err := j.choose(m, u.LoRA, u.Modules)
			var obj train.Objective
			if err == nil {
				obj, err = method.New(s)
			}
			if err != nil && s.Teacher != nil {
				s.Teacher.Close()
			}
			return obj, err
		},
	}, nil
}
