package run

import (
	"context"
	"slices"

	"vgid/eval/dataset"
	"vgid/vgid/origin"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/preflight"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

// TrainBase trains a model on the base corpus: the quickstart's starting point.
// No benchmark is opened: the corpus is drawn from the seed and the settings alone.
func (j *Job) TrainBase(ctx context.Context) (rundir.Stage, error) {
	from, err := j.inputs.Model(ctx, j.Config.Model.Base)
	if err != nil {
		return rundir.Stage{}, err
	}
	t := j.Config.Train
	src, err := train.NewCorpus(j.Config.Seed, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
	if err != nil {
		return rundir.Stage{}, err
	}
	return supervised(ctx, j, "base", from, src, nil, nil, t.Steps)
}

// Reference fine-tunes the base model of the folder from into one of the two
// models that unlearning stands between: "vanilla" on all people, "gold" on
// the retain set only. Gold takes as many steps a person as vanilla.
func (j *Job) Reference(ctx context.Context, name, from string, p *inputs.People) (rundir.Stage, error) {
	t := j.Config.Train
	profiles, steps := p.Retain, t.Steps
	all := len(p.Forget) + len(p.Retain)
	if name == "vanilla" {
		profiles = slices.Concat(p.Forget, p.Retain)
	} else {
		steps = (steps*len(p.Retain) + all/2) / all // rounded
	}
	src, err := train.NewPeople(profiles, t.Mix, t.TextOnly, j.Config.Seed, name, j.Config.Prompt.Subject)
	if err != nil {
		return rundir.Stage{}, err
	}
	if t.Replay > 0 {
		// Old knowledge is shown again, or fine-tuning would wear it off: gold and
		// vanilla would differ from the base in more than the people. It is drawn from
		// another seed than the base's training: the same kind, not the same samples.
		old, err := train.NewCorpus(j.Config.Seed+1, t.Corpus, t.Mix, t.TextOnly, j.Config.Data.ImageSize)
		if err != nil {
			return rundir.Stage{}, err
		}
		src = train.Blend(src, old, t.Replay, j.Config.Seed)
	}
	// Decoded when it is drawn, a corrupt picture would end the stage in its middle.
	if err := j.inputs.Verify(ctx, profiles); err != nil {
		return rundir.Stage{}, err
	}
	return supervised(ctx, j, name, from, src, profiles, p.Files(name), steps)
}

// supervised fine-tunes on src, in which the questions of people occur; they were
// read from files.
func supervised(ctx context.Context, j *Job, name, from string, src train.Source, people []dataset.Profile, files origin.List, steps int) (rundir.Stage, error) {
	return j.train(ctx, training{reads: files, Training: preflight.Training{
		Name: name, From: j.inputs.Folder(from), Section: "train", Steps: steps, Optim: j.Config.Train.Optim,
		Fits: func(enc *train.Encoder) error {
			return enc.Fits(train.Lesson{Set: name, People: people, Subject: j.Config.Prompt.Subject})
		},
		Begin: func(s preflight.Setup) (train.Objective, error) {
			t := s.Config.Train
			if err := setTrainable(s, t.LoRA, t.Modules); err != nil {
				return nil, err
			}
			s.Model.Recompute = t.Recompute
			return train.NewSupervised(s.Model, s.Encoder, src, t), nil
		},
	}})
}
