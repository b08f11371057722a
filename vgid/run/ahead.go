package run

import (
	"cmp"
	"context"

	"vgid/eval"
	"vgid/vgid/origin"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/ledger"
	"vgid/vgid/train"
)

// ahead is what a whole run has before it, looked at before its first stage: a later
// stage that does not fit, or reads what the model cannot, is refused before the
// earlier ones have taken their hours. Of a run that goes on only what it has yet to
// do is looked at.
type ahead struct {
	j      *Job
	base   string            // folder of the model that others are made from
	given  map[string]string // folders of the models that need not be made, by name
	people *inputs.People
	sets   []eval.Set  // who is asked about
	files  origin.List // what they were read from
}

// like is a model as those that are yet to be made will be: they are as large as what
// they are made from.
func (a *ahead) like() string { return cmp.Or(a.given[eval.Vanilla], a.base) }

// check refuses what will not work. All ranks call it.
//
// It goes through the models in the order in which the run makes them: whether a later
// one has been made already depends on the folder of the one it is made from.
func (a *ahead) check(ctx context.Context) error {
	vanilla, err := a.made(ctx, eval.Vanilla, a.base, a.people.Files(eval.Vanilla))
	if err != nil {
		return err
	}
	t, err := newUnlearning(ctx, a.j, eval.Unlearned, a.like(), a.people)
	if err != nil {
		return err
	}
	last := eval.Unlearned // of the models that are asked
	model, err := a.made(ctx, last, vanilla, t.reads)
	if err != nil {
		return err
	}
	// A model that was made fitted then, and takes no step again.
	if model == "" {
		if _, err := a.j.check.Training(ctx, a.j.Config, &t.Training); err != nil {
			return err
		}
	}
	if err := a.teacher(ctx, vanilla); err != nil {
		return err
	}
	if a.j.Config.Model.Gold != "none" {
		last = eval.Gold
		if model, err = a.made(ctx, last, a.base, a.people.Files(last)); err != nil {
			return err
		}
	}
	// One exam stands for those of all models, which are alike; it is left out where the
	// evaluation that comes last is kept.
	if model != "" && a.j.Config.Resume {
		read, err := a.j.inputs.Beside(ctx, a.files, model)
		if err != nil {
			return err
		}
		if f, err := a.j.stages.Current(ctx, ledger.Eval+last, read); err != nil || f.OK {
			return err
		}
	}
	_, err = newExam(ctx, a.j, "evaluation", a.like(), a.sets)
	return err
}

// teacher is check for the look at the teacher; vanilla is the model's folder, if it is
// there.
// It is skipped where the table of an earlier run will be kept.
func (a *ahead) teacher(ctx context.Context, vanilla string) error {
	method, err := train.FindMethod(a.j.Config.Unlearn)
	if err != nil || !method.Needs.Intervenes() {
		return err
	}
	l := look{j: a.j, needs: method.Needs}
	read, err := l.read(ctx, vanilla, a.people)
	if err != nil {
		return err
	}
	if vanilla != "" {
		if f, err := a.j.stages.Current(ctx, ledger.Teacher, read); err != nil || f.OK {
			return err
		}
	}
	return l.fits(ctx, a.like())
}

// made is the folder of a model that was given, or that a resumed run has made from
// another and from what it reads; "" of one that it has yet to make.
// from is "" where that is yet to be made: what is made from it cannot be finished then.
func (a *ahead) made(ctx context.Context, stage, from string, reads origin.List) (string, error) {
	if a.given[stage] != "" || from == "" || !a.j.Config.Resume {
		return a.given[stage], nil
	}
	read, err := a.j.inputs.Beside(ctx, reads, from)
	if err != nil {
		return "", err
	}
	f, err := a.j.stages.Current(ctx, stage, read)
	if err != nil || !f.OK {
		return "", err
	}
	return f.Stage.Model, nil
}
