package run

import (
	"bytes"
	"context"

	"vgid/eval"
	"vgid/eval/report"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// results are what a run came to.
type results struct {
	summary  *eval.Summary
	outcomes map[string]*eval.Outcome // by model
	teacher  []report.TeacherRow
	sets     []eval.Set // who was asked about
}

// writeReport writes summary.json and report.html. vanilla is the folder of the model
// whose reader and noise make its pictures.
// Only rank 0 calls it.
func writeReport(ctx context.Context, j *Job, r results, vanilla string) error {
	if err := eval.WriteSummary(j.dir.Path("summary.json"), r.summary); err != nil {
		return err
	}
	// What the pictures need of the model stands in its headers.
	m, enc, err := count(ctx, j, vanilla)
	if err != nil {
		return err
	}
	defer m.Close()
	for _, n := range enc.Notices() {
		j.Show.Printf("note: %s", n)
	}
	method, err := train.FindMethod(j.Config.Unlearn)
	if err != nil {
		return err
	}
	var shown *noise.Noise
	// Without noise the teacher, if there is one, sees the same picture as the student.
	if method.Needs.Noise {
		if shown, err = noise.New(j.Config.Unlearn.Noise, j.Config.Seed, enc.Processor().Layout(), m.Config.Vision.PatchSize); err != nil {
			return err
		}
	}
	d := report.Data{Summary: r.summary, Teacher: r.teacher, Loss: method.Loss}
	if d.Samples, err = samples(r.outcomes, r.sets, enc, shown, 4); err != nil {
		return err
	}
	// The file and not what this process saw: the steps before a run was resumed count.
	points, err := ReadHistory(j.dir.Path(eval.Unlearned, historyFile))
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
	return report.Write(j.dir.Path("report.html"), d)
}
