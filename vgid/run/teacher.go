package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
	"vgid/eval/prompts"
	"vgid/eval/report"
	"vgid/model"
	"vgid/model/dry"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/vgid/ask"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// intervention is one way to disturb the teacher.
type intervention struct {
	name               string
	noise, instruction bool
}

var interventions = []intervention{
	{"noise + instruction", true, true},
	{"noise", true, false},
	{"instruction", false, true},
	{"none", false, false},
}

// interventionsOf lists what a method shows its teacher: each half that it has, both,
// and neither, to compare with.
func interventionsOf(n train.Needs) (out []intervention) {
	for _, iv := range interventions {
		if (n.Noise || !iv.noise) && (n.Instruction || !iv.instruction) {
			out = append(out, iv)
		}
	}
	return out
}

// TeacherTable looks at the teacher before unlearning: what the vanilla model
// answers to forget questions under each half of the intervention. Of a method that
// shows its teacher what the student sees there is no table.
func (j *Job) TeacherTable(ctx context.Context, dir string, p *People) ([]report.TeacherRow, error) {
	method, err := train.FindMethod(j.Config.Unlearn)
	if err != nil || !method.Needs.Intervenes() {
		return nil, err
	}
	path := j.dir.Path("teacher.json")
	stage := rundir.Stage{Name: ledger.Teacher}
	sets, inputs, err := j.teacherInputs(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	stage.Inputs = inputs
	_, ok, err := j.stages.Begin(ctx, stage.Name, inputs)
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
	m, err := j.loadAll(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	items, proto, enc, err := j.teacherItems(dir, m, sets)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		j.Show.Printf("the forget set has no questions about images: the teacher is not looked at")
	}
	rows, err := j.teacherRows(ctx, method.Needs, &Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens}, items, proto)
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
	return rows, j.finish(ctx, &stage, path)
}

// teacherRows are the teacher's answers to items under each intervention that a method
// makes.
func (j *Job) teacherRows(ctx context.Context, needs train.Needs, a *Answerer, items []eval.Item, proto eval.Protocol) (rows []report.TeacherRow, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	var n *noise.Noise
	if needs.Noise {
		v := a.Model.Config.Vision
		if n, err = noise.New(j.Config.Unlearn.Noise, j.Config.Seed, a.Encoder.Processor().Layout(), v.PatchSize); err != nil {
			return nil, err
		}
	}
	instruction := ""
	if needs.Instruction {
		read, err := j.instructions(ctx)
		if err != nil {
			return nil, err
		}
		instruction = read.texts[0]
	}
	for _, iv := range interventionsOf(needs) {
		a.Disturb = iv.on(n, instruction, j.Config.Prompt.Subject)
		out, err := eval.RunItems(ctx, items, proto, a, j.shard())
		if err != nil {
			return nil, err
		}
		s := out.Scores[eval.Forget][eval.ModalityKey(dataset.ImageText)]
		rows = append(rows, report.TeacherRow{
			Name: iv.name, ROUGEL: s[metric.ROUGEL], Classification: s[metric.Classification], Cloze: s[metric.Cloze],
			Example: out.Answers[0].Response,
		})
	}
	return rows, nil
}

// teacherInputs are the people whom the teacher is asked about, those of the forget
// set, and what the look at it depends on: what is read, with the model of a folder,
// if there is one yet. All ranks call it.
func (j *Job) teacherInputs(ctx context.Context, dir string, p *People) ([]eval.Set, origin.List, error) {
	sets, files, err := j.evalSets(ctx, p, []string{eval.Forget}, 0)
	if err != nil {
		return nil, nil, err
	}
	read, err := j.instructions(ctx)
	if err != nil {
		return nil, nil, err
	}
	inputs := union(files, read.files)
	if dir != "" {
		inputs, err = j.readBeside(ctx, inputs, dir)
	}
	return sets, inputs, err
}

// teacherItems are the questions that the teacher is looked at with: those about
// the images.
func (j *Job) teacherItems(dir string, m *model.Model, sets []eval.Set) (items []eval.Item, proto eval.Protocol, enc *train.Encoder, err error) {
	if enc, err = train.NewEncoder(modeldir.Open(dir), m, j.Config.Prompt); err != nil {
		return nil, proto, nil, err
	}
	if proto, err = j.protocol(enc.Templates()); err != nil {
		return nil, proto, nil, err
	}
	proto.Modalities, proto.Likelihood = []dataset.Modality{dataset.ImageText}, false
	if err = fitsSets(enc, sets); err != nil {
		return nil, proto, nil, err
	}
	items, err = eval.BuildItems(sets, proto)
	return items, proto, enc, err
}

// teacherFits checks that a model like that of the folder can read the teacher's
// questions behind an instruction.
func (j *Job) teacherFits(ctx context.Context, dir string, sets []eval.Set) error {
	twin := *j
	twin.Backend, _ = dry.New(dry.Like(j.Backend))
	m, err := twin.load(ctx, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	items, proto, enc, err := twin.teacherItems(dir, m, sets)
	if err != nil {
		return err
	}
	read, err := j.instructions(ctx)
	if err != nil {
		return err
	}
	a := &Answerer{Model: m, Encoder: enc, Unseen: true}
	a.Disturb = intervention{instruction: true}.on(nil, read.texts[0], j.Config.Prompt.Subject)
	for i := range items {
		q, err := a.question(&items[i])
		if err == nil {
			err = a.fitsItem(&items[i], q, proto)
		}
		if err != nil {
			return fmt.Errorf("the teacher behind an instruction: %w", err)
		}
	}
	return nil
}

// on is the intervention as an Answerer makes it.
func (iv intervention) on(n *noise.Noise, instruction, subject string) func(*eval.Item, string, []imaging.Image) (string, error) {
	return func(it *eval.Item, prompt string, images []imaging.Image) (string, error) {
		if iv.noise && it.Own >= 0 {
			images[it.Own] = n.Apply(images[it.Own], 0, uint32(it.Index))
		}
		if !iv.instruction {
			return prompt, nil
		}
		// The instruction goes before the question, as in training.
		u := strings.ReplaceAll(instruction, "{subject}", subject)
		at := strings.LastIndex(prompt, it.Asked)
		if at < 0 {
			return "", fmt.Errorf("question %q is not part of its prompt", ask.Clip(it.Asked))
		}
		line := strings.LastIndex(prompt[:at], "\n") + 1
		if i := strings.LastIndex(prompt[line:at], prompts.ImageMark); i >= 0 { // and behind the image
			line += i + len(prompts.ImageMark)
		}
		return prompt[:line] + u + " " + prompt[line:], nil
	}
}
