package train

import (
	"context"
	"fmt"
	"strings"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/tape"
	"vgid/vgid/ask"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/random"
)

// Distill is VGID's objective (arXiv 2606.00105): the forget set towards the
// disturbed teacher, the retain set towards the undisturbed one, both as
// forward KL on the response. See the package comment.
type Distill struct {
	cfg            config.Unlearn
	seed           uint64
	model, teacher *model.Model // the same model when an adapter is trained
	enc            *Encoder
	noise          *Noiser
	instructions   []string
	forget, retain Source

	tape *tape.Tape // of the teacher: records nothing
	shares
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
		cfg: cfg, seed: seed, model: student, teacher: teacher, enc: enc, noise: noise,
		instructions: instructions, forget: forget, retain: retain, tape: tape.For(student.Backend()),
		shares: newShares(student.Backend(), cfg.Accumulate),
	}, nil
}

// Close implements Objective.
func (o *Distill) Close() {
	o.tape.Close()
	o.shares.close()
	if o.teacher != o.model {
		o.teacher.Close()
	}
}

// Draw implements Objective.
func (o *Distill) Draw(step int, s Shard) [][]Sample {
	f := s.draw(o.forget, Forget, step, o.cfg.BatchForget, 0)
	if o.retain == nil {
		return [][]Sample{f}
	}
	r := s.draw(o.retain, Retain, step, o.cfg.BatchRetain, o.cfg.BatchForget)
	if o.cfg.Alternate {
		return [][]Sample{f, r}
	}
	return [][]Sample{append(f, r...)}
}

// Batches implements Objective.
func (o *Distill) Batches() int {
	if o.cfg.Alternate && o.retain != nil {
		return 2
	}
	return 1
}

// Terms implements Objective.
func (o *Distill) Terms() []Term { return []Term{Forget, Retain} }

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

// Prepare implements Objective.
func (o *Distill) Prepare(ctx context.Context, step int, mine []Sample) (weight [terms]float64, err error) {
	to := o.next
	to.reset()
	for _, s := range mine {
		var instruction string
		var pixels []float32
		if s.Term == Forget {
			instruction = o.instruction(step, s)
			if !s.Picture.None() && o.cfg.Noise.Kind != "none" {
				clean, err := o.enc.Image(s.Picture)
				if err != nil {
					return weight, err
				}
				pixels = o.noise.Apply(clean, uint32(step), s.noiseKey(o.cfg.Noise)).Pixels
			}
			if o.cfg.Responses == "rollout" {
				if s.Answer, err = o.rollout(ctx, s, instruction, pixels); err != nil {
					return weight, err
				}
			}
		}
		student, err := o.enc.Encode(s, "", nil)
		if err != nil {
			return weight, err
		}
		teacher := student
		if instruction != "" || pixels != nil {
			if teacher, err = o.enc.Encode(s, instruction, pixels); err != nil {
				return weight, err
			}
			if err := sameAnswer(s.Answer, teacher, student); err != nil {
				return weight, err
			}
		}
		w := to.rows.weight(o.cfg.Balance, len(student.Next))
		trows, srows := aligned(o.cfg.Mask, teacher, student, o.enc.ImageID())
		for i, row := range srows {
			to.rows.add(row, 0, w, s.Term)
			to.teacherRows.add(trows[i], 0, w, s.Term)
		}
		weight[s.Term] += float64(w) * float64(len(srows))
		to.rows.advance(student.Rows())
		to.teacherRows.advance(teacher.Rows())
		to.students = append(to.students, student)
		to.teachers = append(to.teachers, teacher)
	}
	return weight, nil
}

// Ahead implements Objective: the teacher's own answers are made on the device.
func (o *Distill) Ahead() bool { return o.cfg.Responses != "rollout" }

// Stage implements Objective.
func (o *Distill) Stage() error { return o.stage(o.teacher, o.next.teachers) }

// rolloutTokens is how long an answer of the teacher's own is at most.
const rolloutTokens = 64

// rollout is the teacher's own greedy answer: forgetting without annotation.
func (o *Distill) rollout(ctx context.Context, s Sample, instruction string, pixels []float32) (string, error) {
	s.Answer = ""
	v, err := o.enc.Encode(s, instruction, pixels)
	if err != nil {
		return "", err
	}
	v.Seq.IDs = v.Seq.IDs[:v.First+1]
	o.teacher.SetAdapter(false)
	out, err := o.teacher.Generate(ctx, []model.Sequence{v.Seq}, o.enc.Greedy(rolloutTokens))
	o.model.SetAdapter(true)
	if err != nil {
		return "", fmt.Errorf("the teacher's own answer to %q: %w", ask.Clip(s.Question), err)
	}
	return strings.TrimSpace(o.enc.Unmark(o.enc.Decode(out[0]))), nil
}

// Forward implements Objective.
func (o *Distill) Forward(t *tape.Tape, i int, norm [terms]float64, lap func(monitor.Phase)) error {
	from, to := part(len(o.now.students), i, o.Parts())
	if from == to { // more workers than samples
		return nil
	}
	o.loss.release()
	hidden, err := o.teach(from, to)
	if err != nil {
		return err
	}
	lap(monitor.PhaseTeacher)
	b, err := o.model.Pack(sequences(o.now.students[from:to]))
	if err != nil {
		return err
	}
	h := o.model.Hidden(t, b)
	o.now.rows.scale(norm, [terms]float64{Forget: o.cfg.Alpha, Retain: o.cfg.Beta})
	tau := float32(o.cfg.Temperature)
	rows, lo, hi := o.now.rows.cut(from, to)
	return o.loss.expect(o.model.KL(t, h, rows, hidden, o.now.rows.scaled[lo:hi], model.KLOptions{
		TeacherHead: o.teacher.BaseHead(),
		KL:          backend.KL{TeacherTemp: tau, StudentTemp: tau, Scale: tau * tau},
	}), lo, b)
}

// teach runs the teacher on the samples [from, to) and keeps the hidden states
// of their response rows.
func (o *Distill) teach(from, to int) (backend.Tensor, error) {
	b, err := o.now.pack(o.teacher, o.now.teachers[from:to])
	if err != nil {
		return backend.Tensor{}, err
	}
	defer b.Release()
	o.tape.Reset(tape.Options{})
	o.teacher.SetAdapter(false)
	defer o.model.SetAdapter(true)
	mark := o.tape.Mark()
	h := o.teacher.Hidden(o.tape, b)
	rows, _, _ := o.now.teacherRows.cut(from, to)
	return o.tape.Value(o.tape.Release(mark, o.teacher.Rows(o.tape, h, rows))), nil
}

// Length implements Objective.
func (o *Distill) Length(step int, s Sample) (int, error) {
	student, err := o.enc.Encode(s, "", unseen)
	if err != nil || s.Term != Forget {
		return 2 * student.Rows(), err
	}
	teacher, err := o.enc.Encode(s, o.instruction(step, s), unseen)
	return student.Rows() + teacher.Rows(), err
}
