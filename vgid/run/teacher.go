package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
	"vgid/eval/report"
	"vgid/model"
	"vgid/vgid/origin"
	"vgid/vgid/run/answer"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// TeacherTable looks at the teacher before unlearning: what the vanilla model
// answers to forget questions under each half of the intervention. Of a method that
// shows its teacher what the student sees there is no table. All ranks call it.
// The rows stand in the order of answer.Interventions, with no intervention last, and
// hold the means over the forget set's questions about images.
func (j *Job) TeacherTable(ctx context.Context, dir string, p *inputs.People) ([]report.TeacherRow, error) {
	method, err := train.FindMethod(j.Config.Unlearn)
	if err != nil || !method.Needs.Intervenes() {
		return nil, err
	}
	// The table is of the model as it was: it is a stage with a record, so that a resumed
	// run shows the answers of then and asks nobody again.
	path := j.dir.Path("teacher.json")
	stage := rundir.Stage{Name: ledger.Teacher}
	l := look{j: j, needs: method.Needs}
	if stage.Inputs, err = l.read(ctx, dir, p); err != nil {
		return nil, err
	}
	_, ok, err := j.stages.Begin(ctx, stage.Name, stage.Inputs)
	if err != nil {
		return nil, err
	}
	if ok {
		return barrier.FromRank0(ctx, j.ranks, func(context.Context) (rows []report.TeacherRow, err error) {
			raw, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(raw, &rows)
			}
			return rows, err
		})
	}
	rows, err := l.rows(ctx, dir)
	if err != nil {
		return nil, err
	}
	err = j.ranks.OnRank0(ctx, func() error {
		raw, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			return err
		}
		return rundir.WriteFile(path, append(raw, '\n'))
	})
	if err != nil {
		return nil, err
	}
	return rows, j.stages.Finish(ctx, &stage, path)
}

// look is the look at a method's teacher.
// read fills sets and instructions; items, fits and rows come after it.
type look struct {
	j            *Job
	needs        train.Needs
	sets         []eval.Set // the people of the forget set
	instructions *inputs.Instructions
}

// read reads whom the teacher is asked about, and gives what the look depends on:
// what is read, with the model of a folder, if there is one yet. All ranks call it.
func (l *look) read(ctx context.Context, dir string, p *inputs.People) (origin.List, error) {
	in := l.j.inputs
	sets, files, err := in.Sets(ctx, p, []string{eval.Forget}, 0)
	if err != nil {
		return nil, err
	}
	if l.sets = sets; dir == "" {
		l.instructions, err = in.Instructions(ctx)
		return nil, err
	}
	if l.instructions, err = in.Instructions(ctx); err != nil {
		return nil, err
	}
	return in.Beside(ctx, origin.Union(files, l.instructions.Files), dir)
}

// items are the questions that the teacher is looked at with: those about the images.
// The protocol is the evaluation's otherwise, so that the two tables' numbers compare.
func (l *look) items(enc *train.Encoder) (items []eval.Item, p eval.Protocol, err error) {
	if p, err = answer.Protocol(l.j.Config.Eval, enc.Templates(), l.j.Config.Seed); err != nil {
		return nil, p, err
	}
	// Noise is in pictures, and likelihoods are in no row of the table.
	p.Modalities, p.Likelihood = []dataset.Modality{dataset.ImageText}, false
	items, err = answer.Items(enc, l.sets, p)
	return items, p, err
}

// fits checks that a model like that of the folder can read the questions behind an
// instruction.
func (l *look) fits(ctx context.Context, dir string) error {
	m, enc, err := count(ctx, l.j, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	items, p, err := l.items(enc)
	if err != nil {
		return err
	}
	// The longest prompts are those with an instruction; noise adds no token, and
	// pictures count by their size alone.
	a := &answer.Answerer{Model: m.Model, Encoder: enc, Unseen: true}
	a.Disturb = l.disturb(answer.Intervention{Instruction: true}, nil)
	if _, err := a.Prompts(items, p); err != nil {
		return fmt.Errorf("the teacher behind an instruction: %w", err)
	}
	return nil
}

// rows are the answers of the model of a folder under each intervention that the
// method makes. All ranks call it.
func (l *look) rows(ctx context.Context, dir string) (rows []report.TeacherRow, err error) {
	j := l.j
	m, err := load(ctx, j, dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	enc, err := train.NewEncoder(j.inputs.Folder(dir), m, j.Config.Prompt)
	if err != nil {
		return nil, err
	}
	items, p, err := l.items(enc)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		j.Show.Printf("the forget set has no questions about images: the teacher is not looked at")
		return nil, nil
	}
	n, err := l.noise(m, enc)
	if err != nil {
		return nil, err
	}
	a := &answer.Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens}
	for _, iv := range answer.Interventions(l.needs) {
		a.Disturb = l.disturb(iv, n)
		out, err := eval.RunItems(ctx, items, p, a, shareOf(j.ranks))
		if err != nil {
			return nil, err
		}
		s := out.Scores[eval.Forget][eval.ModalityKey(dataset.ImageText)]
		rows = append(rows, report.TeacherRow{
			Name: iv.Name, ROUGEL: s[metric.ROUGEL], Classification: s[metric.Classification], Cloze: s[metric.Cloze],
			Example: out.Answers[0].Response,
		})
	}
	return rows, nil
}

// noise is the configured one for a model's pictures, nil where the method has none.
func (l *look) noise(m *model.Model, enc *train.Encoder) (*noise.Noise, error) {
	if !l.needs.Noise {
		return nil, nil
	}
	c := l.j.Config
	return noise.New(c.Unlearn.Noise, c.Seed, enc.Processor().Layout(), m.Config.Vision.PatchSize)
}

// disturb is an intervention with the first of the instructions, so that the rows of a
// table differ in the intervention alone.
func (l *look) disturb(iv answer.Intervention, n *noise.Noise) answer.Disturbance {
	text := ""
	if iv.Instruction {
		text = l.instructions.Texts[0]
	}
	return iv.Disturb(n, text, l.j.Config.Prompt.Subject)
}
