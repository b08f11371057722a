package train

import (
	"context"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/tape"
	"vgid/vgid/monitor"
	"vgid/vgid/random"
	"vgid/vgid/train/noise"
)

func init() {
	Register(Method{
		Name: "vgid", Order: 0, Loss: "KL",
		Doc:   "towards what the model itself says under a noised picture and an instruction to forget (arXiv 2606.00105)",
		Needs: Needs{Teacher: true, Noise: true, Instruction: true},
		New:   newDistill,
	})
}

// distill is VGID's objective (arXiv 2606.00105): the forget set towards the
// disturbed teacher, the retain set towards the undisturbed one, both as
// forward KL on the response. See the package comment.
type distill struct {
	pair
	Setup
	teacher model.View
	noise   *noise.Noise

	tape   *tape.Tape // of the teacher: records nothing
	losses rowLosses
}

func newDistill(s Setup) (Objective, error) {
	if s.Rehearsal {
		s.Config.Responses = "gold"
	}
	be := s.Student.Backend()
	o := &distill{pair: newPair(&s), Setup: s, teacher: s.before(), tape: tape.For(be), losses: rowLosses{be: be}}
	if s.Encoder == nil {
		return o, nil
	}
	var err error
	if o.noise, err = noise.New(s.Config.Noise, s.Seed, s.Encoder.Processor().Layout(), s.Student.Config.Vision.PatchSize); err != nil {
		return nil, err
	}
	return o, nil
}

// Close implements Objective.
func (o *distill) Close() {
	o.tape.Close()
	o.losses.close()
	if o.Teacher != nil {
		o.Teacher.Close()
	}
}

// Terms implements Objective.
func (o *distill) Terms() []Term { return pairTerms(o.Config.Alpha, o.Config.Beta) }

// instruction is u for a sample, or "": which template is a matter of the
// sample, not of the worker.
func (o *distill) instruction(step int, s Sample) string {
	use := o.Config.Instruction.Use == "always" || o.Config.Instruction.Use == "text-only" && s.Picture.None()
	if !use || len(o.Instructions) == 0 {
		return ""
	}
	r := random.Stream(o.Seed, "instruction", uint64(step)<<32|uint64(s.Key))
	return o.Instructions[r.IntN(len(o.Instructions))]
}

// Length implements Objective.
func (o *distill) Length(step int, s Sample) (int, error) {
	student, err := o.Encoder.Encode(s, "", unseen)
	if err != nil || s.Term != forgetTerm {
		return 2 * student.Rows(), err
	}
	teacher, err := o.Encoder.Encode(s, o.instruction(step, s), unseen)
	return student.Rows() + teacher.Rows(), err
}

// Prepare implements Objective. Answers of the teacher's own are made on the
// device, so that a batch of them is filled when its weights are asked for.
func (o *distill) Prepare(ctx context.Context, step int, share []Sample) (Batch, error) {
	b := o.empty()
	b.step, b.share = step, share
	if o.Config.Responses == "rollout" {
		return b, nil
	}
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

func (o *distill) empty() *distillBatch {
	return &distillBatch{rowBatch: newRowBatch(o.Terms(), o.Config.Accumulate, &o.losses), of: o}
}

func (o *distill) batch() lister { return o.empty() }

// distillBatch is what student and teacher read of a share.
type distillBatch struct {
	rowBatch
	teachers    []View
	teacherRows responseRows // beside rows, row by row

	of    *distill
	step  int
	share []Sample // that is not encoded yet
}

// fill encodes the share for both models.
func (b *distillBatch) fill(ctx context.Context) error {
	share := b.share
	b.share = nil
	for _, s := range share {
		if err := ctx.Err(); err != nil {
			return err
		}
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
	if s.Term == forgetTerm && o.Config.Responses == "rollout" {
		if s.Answer, err = o.rollout(ctx, s, instruction, pixels); err != nil {
			return err
		}
	}
	student, err := o.Encoder.Encode(s, "", nil)
	if err != nil {
		return err
	}
	teacher := student
	if instruction != "" || pixels != nil {
		if teacher, err = o.Encoder.Encode(s, instruction, pixels); err != nil {
			return err
		}
		if err := sameAnswer(s.Answer, teacher, student); err != nil {
			return err
		}
	}
	b.pair(s, student, teacher, tokenWeight(o.Config.Balance, len(student.Next)))
	return nil
}

// list implements lister, for samples that both read alike.
func (b *distillBatch) list(s Sample, v View, w float32) { b.pair(s, v, v, w) }

// pair lists the rows at which what both models read of a sample is compared.
func (b *distillBatch) pair(s Sample, student, teacher View, w float32) {
	trows, srows := aligned(b.of.Config.Mask, teacher, student, int32(b.of.Student.Config.ImageTokenID))
	for i, row := range srows {
		b.rows.add(row, 0, w, s.Term)
		b.teacherRows.add(trows[i], 0, w, s.Term)
	}
	b.weight[s.Term] += float64(w) * float64(len(srows))
	b.rows.advance(student.Rows())
	b.teacherRows.advance(teacher.Rows())
	b.students = append(b.students, student)
	b.teachers = append(b.teachers, teacher)
}

// intervene is what the teacher gets beside a sample: the instruction before its
// question and the noised image in place of its own; nothing of either on the
// retain set.
func (o *distill) intervene(step int, s Sample) (instruction string, pixels []float32, err error) {
	if s.Term != forgetTerm {
		return "", nil, nil
	}
	instruction = o.instruction(step, s)
	if s.Picture.None() || o.Config.Noise.Kind == noise.None {
		return instruction, nil, nil
	}
	clean, err := o.Encoder.Image(s.Picture)
	if err != nil {
		return "", nil, err
	}
	return instruction, o.noise.Apply(clean, uint32(step), s.noiseKey(o.Config.Noise)).Pixels, nil
}

// Weights implements Batch.
func (b *distillBatch) Weights(ctx context.Context) ([]float64, error) {
	return b.weight, b.fill(ctx)
}

// Upload implements Batch: the teacher's pass is the first.
func (b *distillBatch) Upload() error { return b.upload(b.of.teacher.Model(), b.teachers) }

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
	in, err := o.Student.Pack(sequences(b.students[from:to]))
	if err != nil {
		return err
	}
	p.Hold(in)
	h := o.Student.Hidden(p.Tape, in)
	norm, err := p.Norm()
	if err != nil {
		return err
	}
	b.rows.scale(norm, b.terms)
	tau := float32(o.Config.Temperature)
	rows, lo, hi := b.rows.cut(from, to)
	return b.keep(o.Student.KL(p.Tape, h, rows, hidden, b.rows.scaled[lo:hi], model.KLOptions{
		Teacher: o.teacher,
		KL:      backend.KL{TeacherTemp: tau, StudentTemp: tau, Scale: tau * tau},
	}), lo)
}

// teach runs the teacher on the samples [from, to) and keeps the hidden states
// of their response rows.
func (b *distillBatch) teach(from, to int) (backend.Tensor, error) {
	o := b.of
	in, err := b.pack(o.teacher.Model(), b.teachers[from:to])
	if err != nil {
		return backend.Tensor{}, err
	}
	defer in.Release()
	o.tape.Reset(tape.Options{})
	mark := o.tape.Mark()
	h := o.teacher.Hidden(o.tape, in)
	rows, _, _ := b.teacherRows.cut(from, to)
	return o.tape.Value(o.tape.Release(mark, o.teacher.Rows(o.tape, h, rows))), nil
}
