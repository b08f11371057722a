package train

import (
	"context"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/random"
)

// Distill is VGID's objective (arXiv 2606.00105): the forget set towards the
// disturbed teacher, the retain set towards the undisturbed one, both as
// forward KL on the response. See the package comment.
type Distill struct {
	pair
	cfg            config.Unlearn
	seed           uint64
	model, teacher *model.Model // the same model when an adapter is trained
	enc            *Encoder
	noise          *Noiser
	instructions   []string

	tape   *tape.Tape // of the teacher: records nothing
	losses rowLosses
}

// NewDistill makes the objective. teacher is nil when the student trains an
// adapter: the teacher is then the student without it, and the base weights
// exist once. A teacher is the objective's from now on, which closes it.
func NewDistill(student, teacher *model.Model, enc *Encoder, cfg config.Unlearn, seed uint64, instructions []string, forget, retain Source) (*Distill, error) {
	noise, err := NewNoiser(cfg.Noise, seed, enc.Processor().Layout(), student.Config.Vision.PatchSize)
	if err != nil {
		return nil, err
	}
	if teacher == nil {
		teacher = student
	}
	return &Distill{
		pair: pair{forget, retain, cfg.BatchForget, cfg.BatchRetain, cfg.Alternate},
		cfg:  cfg, seed: seed, model: student, teacher: teacher, enc: enc, noise: noise,
		instructions: instructions, tape: tape.For(student.Backend()), losses: rowLosses{be: student.Backend()},
	}, nil
}

// Close implements Objective.
func (o *Distill) Close() {
	o.tape.Close()
	o.losses.close()
	if o.teacher != o.model {
		o.teacher.Close()
	}
}

// Terms implements Objective.
func (o *Distill) Terms() []Term { return pairTerms(o.cfg.Alpha, o.cfg.Beta) }

// instruction is u for a sample, or "": which template is a matter of the
// sample, not of the worker.
func (o *Distill) instruction(step int, s Sample) string {
	use := o.cfg.Instruction.Use == "always" || o.cfg.Instruction.Use == "text-only" && s.Picture.None()
	if !use || len(o.instructions) == 0 {
		return ""
	}
	r := random.Stream(o.seed, "instruction", uint64(step)<<32|uint64(s.Key))
	return o.instructions[r.IntN(len(o.instructions))]
}

// Length implements Objective.
func (o *Distill) Length(step int, s Sample) (int, error) {
	student, err := o.enc.Encode(s, "", unseen)
	if err != nil || s.Term != forgetTerm {
		return 2 * student.Rows(), err
	}
	teacher, err := o.enc.Encode(s, o.instruction(step, s), unseen)
	return student.Rows() + teacher.Rows(), err
}

// Prepare implements Objective. Answers of the teacher's own are made on the
// device, so that a batch of them is filled when its weights are asked for.
func (o *Distill) Prepare(ctx context.Context, step int, share []Sample) (Batch, error) {
	b := &distillBatch{rowBatch: newRowBatch(o.Terms(), o.cfg.Accumulate, &o.losses), of: o, step: step, share: share}
	if o.cfg.Responses == "rollout" {
		return b, nil
	}
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// distillBatch is what student and teacher read of a share.
type distillBatch struct {
	rowBatch
	teachers    []View
	teacherRows responseRows // beside rows, row by row

	of    *Distill
	step  int
	share []Sample // that is not encoded yet
}

// fill encodes the share for both models.
func (b *distillBatch) fill(ctx context.Context) error {
	share := b.share
	b.share = nil
	for _, s := range share {
		if err := b.add(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *distillBatch) add(ctx context.Context, s Sample) error {
	o := b.of
	instruction, pixels, err := o.intervene(b.step, s)
	if err != nil {
		return err
	}
	if s.Term == forgetTerm && o.cfg.Responses == "rollout" {
		if s.Answer, err = o.rollout(ctx, s, instruction, pixels); err != nil {
			return err
		}
	}
	student, err := o.enc.Encode(s, "", nil)
	if err != nil {
		return err
	}
	teacher := student
	if instruction != "" || pixels != nil {
		if teacher, err = o.enc.Encode(s, instruction, pixels); err != nil {
			return err
		}
		if err := sameAnswer(s.Answer, teacher, student); err != nil {
			return err
		}
	}
	w := tokenWeight(o.cfg.Balance, len(student.Next))
	trows, srows := aligned(o.cfg.Mask, teacher, student, o.enc.ImageID())
	for i, row := range srows {
		b.rows.add(row, 0, w, s.Term)
		b.teacherRows.add(trows[i], 0, w, s.Term)
	}
	b.weight[s.Term] += float64(w) * float64(len(srows))
	b.rows.advance(student.Rows())
	b.teacherRows.advance(teacher.Rows())
	b.students = append(b.students, student)
	b.teachers = append(b.teachers, teacher)
	return nil
}

// intervene is what the teacher gets beside a sample: the instruction before its
// question and the noised image in place of its own; nothing of either on the
// retain set.
func (o *Distill) intervene(step int, s Sample) (instruction string, pixels []float32, err error) {
	if s.Term != forgetTerm {
		return "", nil, nil
	}
	instruction = o.instruction(step, s)
	if s.Picture.None() || o.cfg.Noise.Kind == "none" {
		return instruction, nil, nil
	}
	clean, err := o.enc.Image(s.Picture)
	if err != nil {
		return "", nil, err
	}
	return instruction, o.noise.Apply(clean, uint32(step), s.noiseKey(o.cfg.Noise)).Pixels, nil
}

// Weights implements Batch.
func (b *distillBatch) Weights(ctx context.Context) ([]float64, error) {
	return b.weight, b.fill(ctx)
}

// Upload implements Batch: the teacher's pass is the first.
func (b *distillBatch) Upload() error { return b.upload(b.of.teacher, b.teachers) }

// Forward implements Batch.
func (b *distillBatch) Forward(p *Pass) error {
	from, to := b.span(p.Part)
	if from == to { // more workers than samples
		return nil
	}
	o := b.of
	hidden, err := b.teach(from, to)
	if err != nil {
		return err
	}
	p.Lap(monitor.PhaseTeacher)
	in, err := o.model.Pack(sequences(b.students[from:to]))
	if err != nil {
		return err
	}
	p.Hold(in)
	h := o.model.Hidden(p.Tape, in)
	b.rows.scale(p.Norm, b.terms)
	tau := float32(o.cfg.Temperature)
	rows, lo, hi := b.rows.cut(from, to)
	return b.keep(o.model.KL(p.Tape, h, rows, hidden, b.rows.scaled[lo:hi], model.KLOptions{
		Teacher: o.teacher.Base(),
		KL:      backend.KL{TeacherTemp: tau, StudentTemp: tau, Scale: tau * tau},
	}), lo)
}

// teach runs the teacher on the samples [from, to) and keeps the hidden states
// of their response rows.
func (b *distillBatch) teach(from, to int) (backend.Tensor, error) {
	o := b.of
	in, err := b.pack(o.teacher, b.teachers[from:to])
	if err != nil {
		return backend.Tensor{}, err
	}
	defer in.Release()
	o.tape.Reset(tape.Options{})
	mark := o.tape.Mark()
	base := o.teacher.Base()
	h := base.Hidden(o.tape, in)
	rows, _, _ := b.teacherRows.cut(from, to)
	return o.tape.Value(o.tape.Release(mark, base.Rows(o.tape, h, rows))), nil
}
