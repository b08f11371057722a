package run

import (
	"bytes"
	"context"
	"path/filepath"
	"runtime"

	"vgid/eval"
	"vgid/eval/report"
	"vgid/launch"
	"vgid/model/dry"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// Run is the whole job: benchmark, vanilla and gold model, unlearning,
// evaluation of all three, summary and report.
func (j *Job) Run(ctx context.Context) error {
	p, err := j.People(ctx)
	if err != nil {
		return err
	}
	j.Show.Printf("benchmark %s: %d people to forget (%s), %d to retain (%s)", p.Benchmark.Dir(), len(p.Forget), j.Config.Data.Forget, len(p.Retain), p.RetainSplit)
	base, err := j.ModelDir(ctx, j.Config.Model.Base)
	if err != nil {
		return err
	}
	dirs := map[string]string{}
	// Before hours of training, not after.
	for _, m := range []struct{ name, given string }{{eval.Vanilla, j.Config.Model.Vanilla}, {eval.Gold, j.Config.Model.Gold}} {
		if m.given != "" && m.given != "none" {
			if dirs[m.name], err = j.ModelDir(ctx, m.given); err != nil {
				return err
			}
		}
	}
	sets, files, err := j.evalSets(ctx, p, j.Config.Eval.Sets, j.Config.Data.EvalPeople)
	if err != nil {
		return err
	}
	if err := j.lookAt(ctx, p.Forget, p.Retain); err != nil {
		return err
	}
	if err := j.lookAtSets(ctx, sets); err != nil {
		return err
	}
	if err := j.affordRun(ctx, base, dirs, p, sets, files); err != nil {
		return err
	}
	sum := j.newSummary()
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
	if err := j.ranks.OnRank0(ctx, func() error { return j.publish(ctx, sum, outcomes, teacher, p, dirs[eval.Vanilla]) }); err != nil {
		return err
	}
	j.Show.Printf("\n%s", report.Table(sum))
	j.Show.Printf("report   %s\nsummary  %s\nmodel    %s", j.dir.Path("report.html"), j.dir.Path("summary.json"), dirs[eval.Unlearned])
	return nil
}

// publish writes summary.json and report.html.
func (j *Job) publish(ctx context.Context, sum *eval.Summary, outcomes map[string]*eval.Outcome, teacher []report.TeacherRow, p *People, vanilla string) error {
	if err := eval.WriteSummary(j.dir.Path("summary.json"), sum); err != nil {
		return err
	}
	// What the pictures need of the model stands in its headers.
	twin := *j
	twin.Backend, _ = dry.New(dry.Like(j.Backend))
	m, enc, err := twin.open(ctx, vanilla)
	if err != nil {
		return err
	}
	defer m.Close()
	method, err := train.FindMethod(j.Config.Unlearn)
	if err != nil {
		return err
	}
	var shown *noise.Noise
	if method.Needs.Noise {
		if shown, err = noise.New(j.Config.Unlearn.Noise, j.Config.Seed, enc.Processor().Layout(), m.Config.Vision.PatchSize); err != nil {
			return err
		}
	}
	d := report.Data{Summary: sum, Teacher: teacher, Loss: method.Loss}
	if d.Samples, err = j.samples(outcomes, p, enc, shown, 4); err != nil {
		return err
	}
	points, err := ReadHistory(j.dir.Path(eval.Unlearned, "history.jsonl"))
	if err != nil {
		return err
	}
	for _, h := range points {
		d.Curve = append(d.Curve, report.CurvePoint{
			Step: h.Step, Forget: h.Loss[train.ForgetTerm], Retain: h.Loss[train.RetainTerm], LR: h.LR, GradNorm: h.GradNorm,
		})
	}
	var conf bytes.Buffer
	if err := j.Config.WriteYAML(&conf, false); err != nil {
		return err
	}
	d.Config = conf.String()
	return report.Write(filepath.Join(j.Dir(), "report.html"), d)
}

func versions(backend string) map[string]string {
	return map[string]string{"go": runtime.Version(), "backend": backend, "vgid": launch.Version()}
}

// RunEval evaluates one model on its own.
func (j *Job) RunEval(ctx context.Context, name, ref string) error {
	p, err := j.People(ctx)
	if err != nil {
		return err
	}
	dir, err := j.ModelDir(ctx, ref)
	if err != nil {
		return err
	}
	o, s, err := j.Evaluate(ctx, name, dir, p)
	if err != nil {
		return err
	}
	sum := j.newSummary()
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

func (j *Job) newSummary() *eval.Summary {
	return &eval.Summary{
		Name: j.Config.Name, Seed: j.Config.Seed, World: j.Comm.Size(), ConfigDigest: j.Config.Digest(),
		Versions: versions(j.Backend.Name()),
	}
}
