package run

import (
	"context"
	"maps"
	"runtime"

	"vgid/eval"
	"vgid/eval/report"
	"vgid/launch"
	"vgid/vgid/run/rundir"
)

// Run is the whole job: benchmark, vanilla and gold model, unlearning,
// evaluation of all three, summary and report.
func (j *Job) Run(ctx context.Context) error {
	p, err := j.People(ctx)
	if err != nil {
		return err
	}
	j.Show.Printf("benchmark %s: %d people to forget (%s), %d to retain (%s)", p.Benchmark.Dir(), len(p.Forget), j.Config.Data.Forget, len(p.Retain), p.RetainSplit)
	base, err := j.inputs.Model(ctx, j.Config.Model.Base)
	if err != nil {
		return err
	}
	dirs := map[string]string{}
	// Before hours of training, not after.
	for _, m := range []struct{ name, given string }{{eval.Vanilla, j.Config.Model.Vanilla}, {eval.Gold, j.Config.Model.Gold}} {
		if m.given != "" && m.given != "none" {
			if dirs[m.name], err = j.inputs.Model(ctx, m.given); err != nil {
				return err
			}
		}
	}
	sets, files, err := j.inputs.Sets(ctx, p, j.Config.Eval.Sets, j.Config.Data.EvalPeople)
	if err != nil {
		return err
	}
	if err := j.inputs.Verify(ctx, p.Forget, p.Retain); err != nil {
		return err
	}
	if err := j.inputs.VerifySets(ctx, sets); err != nil {
		return err
	}
	if err := (&ahead{j: j, base: base, given: maps.Clone(dirs), people: p, sets: sets, files: files}).check(ctx); err != nil {
		return err
	}
	sum := newSummary(j)
	record := func(s rundir.Stage) { sum.AddStage(s.Name, s.Seconds, s.PeakBytes) }

	reference := func(name string) error {
		if dirs[name] != "" {
			return nil
		}
		s, err := j.Reference(ctx, name, base, p)
		if err != nil {
			return err
		}
		record(s)
		dirs[name] = s.Model
		return nil
	}
	if err := reference(eval.Vanilla); err != nil {
		return err
	}
	teacher, err := j.TeacherTable(ctx, dirs[eval.Vanilla], p)
	if err != nil {
		return err
	}
	if j.Config.Model.Gold != "none" {
		if err := reference(eval.Gold); err != nil {
			return err
		}
	}
	s, err := j.Unlearn(ctx, eval.Unlearned, dirs[eval.Vanilla], p)
	if err != nil {
		return err
	}
	record(s)
	dirs[eval.Unlearned] = s.Model

	outcomes := map[string]*eval.Outcome{}
	for _, name := range []string{eval.Vanilla, eval.Unlearned, eval.Gold} {
		if dirs[name] == "" {
			continue
		}
		o, s, err := j.Evaluate(ctx, name, dirs[name], p)
		if err != nil {
			return err
		}
		record(s)
		outcomes[name] = o
		if err := sum.Add(name, o); err != nil {
			return err
		}
	}
	if err := j.ranks.OnRank0(ctx, func() error {
		return writeReport(ctx, j, results{summary: sum, outcomes: outcomes, teacher: teacher, sets: sets}, dirs[eval.Vanilla])
	}); err != nil {
		return err
	}
	j.Show.Printf("\n%s", report.Table(sum))
	j.Show.Printf("report   %s\nsummary  %s\nmodel    %s", j.dir.Path("report.html"), j.dir.Path("summary.json"), dirs[eval.Unlearned])
	return nil
}

// RunEval evaluates one model on its own.
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

func newSummary(j *Job) *eval.Summary {
	return &eval.Summary{
		Name: j.Config.Name, Seed: j.Config.Seed, World: j.Comm.Size(), ConfigDigest: j.Config.Digest(),
		Versions: map[string]string{"go": runtime.Version(), "backend": j.Backend.Name(), "vgid": launch.Version()},
	}
}
