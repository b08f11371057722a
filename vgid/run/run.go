package run

import (
	"context"
	"runtime"

	"vgid/eval"
	"vgid/eval/report"
	"vgid/launch"
	"vgid/vgid/origin"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/rundir"
)

// Run is the whole job: benchmark, vanilla and gold model, unlearning,
// evaluation of all three, summary and report. All ranks call it.
//
// All that can be refused is looked at (newWhole, verify) before the first stage works,
// since stages take hours and a fault in the last would cost those of all.
func (j *Job) Run(ctx context.Context) error {
	w, err := newWhole(ctx, j)
	if err != nil {
		return err
	}
	if err := w.verify(ctx); err != nil {
		return err
	}
	if err := w.models(ctx); err != nil {
		return err
	}
	if err := w.evaluate(ctx); err != nil {
		return err
	}
	if err := j.ranks.OnRank0(ctx, func() error { return writeReport(ctx, j, w.results, w.dirs[eval.Vanilla]) }); err != nil {
		return err
	}
	j.Show.Printf("\n%s", report.Table(w.summary))
	j.Show.Printf("report   %s\nsummary  %s\nmodel    %s", j.dir.Path("report.html"), j.dir.Path("summary.json"), w.dirs[eval.Unlearned])
	return nil
}

// whole is a whole run, in progress.
// What must hold: dirs names a model from the moment that its folder is whole, and a
// stage reads a model only by its entry there.
type whole struct {
	results
	j      *Job
	people *inputs.People
	base   string            // folder of the model that others are made from
	dirs   map[string]string // folders of the models that are there, by name
	files  origin.List       // what results.sets were read from
}

// newWhole reads what a whole run reads, and finds the models that were given: what is
// missing is missed before hours of training, not after.
func newWhole(ctx context.Context, j *Job) (*whole, error) {
	w := &whole{j: j, dirs: map[string]string{}}
	w.summary, w.outcomes = newSummary(j), map[string]*eval.Outcome{}
	p, err := j.inputs.People(ctx)
	if err != nil {
		return nil, err
	}
	w.people = p
	j.Show.Printf("benchmark %s: %d people to forget (%s), %d to retain (%s)", p.Benchmark.Dir(), len(p.Forget), j.Config.Data.Forget, len(p.Retain), p.RetainSplit)
	if w.base, err = j.inputs.Model(ctx, j.Config.Model.Base); err != nil {
		return nil, err
	}
	// "none" is a choice for gold alone: without it the report compares with vanilla only.
	for _, m := range []struct{ name, given string }{{eval.Vanilla, j.Config.Model.Vanilla}, {eval.Gold, j.Config.Model.Gold}} {
		if m.given != "" && m.given != "none" {
			if w.dirs[m.name], err = j.inputs.Model(ctx, m.given); err != nil {
				return nil, err
			}
		}
	}
	w.sets, w.files, err = j.inputs.Sets(ctx, p, j.Config.Eval.Sets, j.Config.Data.EvalPeople)
	return w, err
}

// verify looks at all that later stages will need.
func (w *whole) verify(ctx context.Context) error {
	if err := w.j.inputs.Verify(ctx, w.people.Forget, w.people.Retain); err != nil {
		return err
	}
	if err := w.j.inputs.VerifySets(ctx, w.sets); err != nil {
		return err
	}
	// Pictures first: the estimates ask for the size of each.
	a := ahead{j: w.j, base: w.base, given: w.dirs, people: w.people, sets: w.sets, files: w.files}
	return a.check(ctx)
}

// models makes the models that are not there, and looks at the teacher.
func (w *whole) models(ctx context.Context) (err error) {
	if err := w.reference(ctx, eval.Vanilla); err != nil {
		return err
	}
	// Before unlearning, which may take hours: a user who watches sees whether the
	// intervention makes the teacher forget at all.
	if w.teacher, err = w.j.TeacherTable(ctx, w.dirs[eval.Vanilla], w.people); err != nil {
		return err
	}
	if w.j.Config.Model.Gold != "none" {
		if err := w.reference(ctx, eval.Gold); err != nil {
			return err
		}
	}
	s, err := w.j.Unlearn(ctx, eval.Unlearned, w.dirs[eval.Vanilla], w.people)
	if err != nil {
		return err
	}
	w.made(s)
	return nil
}

// reference makes one of the models that unlearning stands between, if it is not there.
func (w *whole) reference(ctx context.Context, name string) error {
	if w.dirs[name] != "" {
		return nil
	}
	s, err := w.j.Reference(ctx, name, w.base, w.people)
	if err != nil {
		return err
	}
	w.made(s)
	return nil
}

// made notes the model of a stage.
func (w *whole) made(s rundir.Stage) {
	w.summary.AddStage(s.Name, s.Seconds, s.PeakBytes)
	w.dirs[s.Name] = s.Model
}

// evaluate asks the models that are there.
// Vanilla first, as the questions shown in full are chosen among its answers.
func (w *whole) evaluate(ctx context.Context) error {
	for _, name := range []string{eval.Vanilla, eval.Unlearned, eval.Gold} {
		if w.dirs[name] == "" {
			continue
		}
		o, s, err := w.j.Evaluate(ctx, name, w.dirs[name], w.people)
		if err != nil {
			return err
		}
		w.summary.AddStage(s.Name, s.Seconds, s.PeakBytes)
		w.outcomes[name] = o
		if err := w.summary.Add(name, o); err != nil {
			return err
		}
	}
	return nil
}

// RunEval evaluates one model on its own.
// All ranks call it.
// name is what the summary calls the model, ref a folder or a name of the hub. There is
// no report: it compares models, and this is one.
func (j *Job) RunEval(ctx context.Context, name, ref string) error {
	p, err := j.People(ctx)
	if err != nil {
		return err
	}
	dir, err := j.inputs.Model(ctx, ref)
	if err != nil {
		return err
	}
	o, s, err := j.Evaluate(ctx, name, dir, p)
	if err != nil {
		return err
	}
	sum := newSummary(j)
	sum.AddStage(s.Name, s.Seconds, s.PeakBytes)
	if err := sum.Add(name, o); err != nil {
		return err
	}
	if err := j.ranks.OnRank0(ctx, func() error { return eval.WriteSummary(j.dir.Path("summary.json"), sum) }); err != nil {
		return err
	}
	j.Show.Printf("\n%s", report.Table(sum))
	return nil
}

// newSummary is a summary without results yet: what identifies the run, so that
// summaries of several can be put together (report.Over).
func newSummary(j *Job) *eval.Summary {
	return &eval.Summary{
		Name: j.Config.Name, Seed: j.Config.Seed, World: j.Comm.Size(), ConfigDigest: j.Config.Digest(),
		Versions: map[string]string{"go": runtime.Version(), "backend": j.Backend.Name(), "vgid": launch.Version()},
	}
}
