package run

import (
	"context"

	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/preflight"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

// Unlearn makes of the vanilla model of the folder from one that has forgotten the
// forget profiles, by the configured method. All ranks call it.
func (j *Job) Unlearn(ctx context.Context, name, from string, p *inputs.People) (rundir.Stage, error) {
	t, err := newUnlearning(ctx, j, name, from, p)
	if err != nil {
		return rundir.Stage{}, err
	}
	if err := j.inputs.Verify(ctx, p.Forget, p.Retain); err != nil {
		return rundir.Stage{}, err
	}
	return j.train(ctx, t)
}

// newUnlearning is the stage, and what it reads beside the model. All ranks call it.
// No model is loaded: it is made for the look ahead as well as for the stage.
func newUnlearning(ctx context.Context, j *Job, name, from string, p *inputs.People) (t training, err error) {
	u := unlearning{people: p}
	if u.method, err = train.FindMethod(j.Config.Unlearn); err != nil {
		return t, err
	}
	u.instructions = &inputs.Instructions{}
	if u.method.Needs.Instruction {
		if u.instructions, err = j.inputs.Instructions(ctx); err != nil {
			return t, err
		}
	}
	if err := u.draw(j.Config); err != nil {
		return t, err
	}
	return training{reads: origin.Union(p.Files(name), u.instructions.Files), Training: preflight.Training{
		Name: name, From: j.inputs.Folder(from), Section: "unlearn", Steps: j.Config.Unlearn.Steps, Optim: j.Config.Unlearn.Optim,
		Fits:  func(enc *train.Encoder) error { return u.fits(j.Config, enc) },
		Begin: u.begin,
	}}, nil
}

// unlearning is what a method works with. The estimate of memory and the stage begin from
// the same one, so they cannot differ in their samples.
type unlearning struct {
	method         *train.Method
	people         *inputs.People
	instructions   *inputs.Instructions
	forget, retain train.Source // retain may be nil
}

// draw makes the sources of samples.
// The retain source is left out where unlearn.batch_retain is 0.
func (u *unlearning) draw(c config.Config) (err error) {
	s, subject := c.Unlearn, c.Prompt.Subject
	if u.forget, err = train.NewPeople(u.people.Forget, s.Mix, s.TextOnly, c.Seed, "forget", subject); err != nil || s.BatchRetain == 0 {
		return err
	}
	if u.retain, err = train.NewPeople(u.people.Retain, s.Mix, s.TextOnly, c.Seed, "retain", subject); err != nil || s.Outside == 0 {
		return err
	}
	// Strangers are retained as well: what is known of nobody's data stays.
	outside, err := train.NewCorpus(c.Seed+2, config.Corpus{Celebrity: 1}, s.Mix, s.TextOnly, c.Data.ImageSize)
	if err != nil {
		return err
	}
	u.retain = train.Blend(u.retain, outside, s.Outside, c.Seed)
	return nil
}

// fits checks that the model can read every sample, with any of the instructions.
func (u *unlearning) fits(c config.Config, enc *train.Encoder) error {
	// Instructions stand before the questions to forget alone; what is retained is asked
	// as it is.
	l := train.Lesson{Set: "forget", People: u.people.Forget, Subject: c.Prompt.Subject, Rollout: c.Unlearn.Responses == "rollout"}
	if c.Unlearn.Instruction.Use != "never" {
		l.Instructions, l.TextOnly = u.instructions.Texts, c.Unlearn.Instruction.Use == "text-only"
	}
	if err := enc.Fits(l); err != nil || u.retain == nil {
		return err
	}
	return enc.Fits(train.Lesson{Set: "retain", People: u.people.Retain, Subject: c.Prompt.Subject})
}

// begin makes the method's objective. A teacher of its own is copied before anything is
// made trainable; from then on the objective closes it.
//
// With LoRA the teacher is the student without its adapter, so that one model is in memory.
func (u *unlearning) begin(s preflight.Setup) (train.Objective, error) {
	c := s.Config.Unlearn
	setup := train.Setup{
		Student: s.Model, Encoder: s.Encoder, Config: c, Seed: s.Config.Seed,
		Instructions: u.instructions.Texts, Forget: u.forget, Retain: u.retain, Rehearsal: s.Rehearsal,
	}
	if u.method.Needs.Teacher && c.LoRA.R == 0 { // the weights themselves change: the teacher needs its own
		var err error
		if setup.Teacher, err = s.Model.Clone(); err != nil {
			return nil, err
		}
	}
	s.Model.Recompute = c.Recompute
	err := setTrainable(s, c.LoRA, c.Modules)
	var obj train.Objective
	if err == nil {
		obj, err = u.method.New(setup)
	}
	if err != nil && setup.Teacher != nil {
		setup.Teacher.Close()
	}
	return obj, err
}
