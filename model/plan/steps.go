package plan

import (
	"context"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/hf/modeldir"
	"vgid/model/optim"
	"vgid/model/tape"
)

// work is a model on a device.
type work struct {
	m     *model.Model
	be    backend.Backend
	o     Options
	count func() backend.MemoryUse // what is allocated, where that is known

	weights, trained int64
	parameters       int
}

func (w *work) live() int64 {
	if w.count == nil {
		return 0
	}
	return w.count().Total()
}

func (w *work) do(ctx context.Context, dir *modeldir.Dir, run func(context.Context, *work) error) error {
	m, err := model.LoadDir(ctx, w.be, dir, w.o.Load)
	if err != nil {
		return err
	}
	defer m.Close()
	w.m, w.weights = m, w.live()
	if err := run(ctx, w); err != nil {
		return err
	}
	return ctx.Err()
}

// sequences are a batch of the planned sizes.
func (w *work) sequences() ([]model.Sequence, error) {
	s, err := w.m.Config.Blank(w.o.Tokens, w.o.Images, w.o.Side)
	if err != nil {
		return nil, err
	}
	out := make([]model.Sequence, w.o.Batch)
	for i := range out {
		out[i] = s
		out[i].Sample = uint32(i)
	}
	return out, nil
}

func (w *work) forward() error {
	seqs, err := w.sequences()
	if err != nil {
		return err
	}
	b, err := w.m.Pack(seqs)
	if err != nil {
		return err
	}
	defer b.Release()
	t := tape.For(w.be)
	defer t.Close()
	w.m.Logits(t, t.Value(w.m.Hidden(t, b)))
	if err := t.Err(); err != nil {
		return err
	}
	return w.be.Sync()
}

func (w *work) generate(ctx context.Context) error {
	seqs, err := w.sequences()
	if err != nil {
		return err
	}
	_, err = w.m.Generate(ctx, seqs, model.GenerateOptions{MaxNew: w.o.New})
	return err
}

// step is one of VGID: the teacher's pass over as many tokens as the student's,
// the student's pass, and the update.
func (w *work) step(full, recompute bool) error {
	m, before := w.m, w.live()
	m.Recompute = recompute
	teacher := m
	var err error
	if full {
		if teacher, err = m.Clone(); err != nil {
			return err
		}
		defer teacher.Close()
		_, err = m.Trainable("*") // the student's weights move, the teacher's stay
	} else {
		_, err = m.AddLoRA(w.o.LoRA)
	}
	if err != nil {
		return err
	}
	w.weights = before
	_, w.parameters = m.NumParameters()
	opt, err := optim.New(m.Set, optim.Config{})
	if err != nil {
		return err
	}
	defer opt.Close()
	w.trained = w.live() - w.weights
	seqs, err := w.sequences()
	if err != nil {
		return err
	}
	return vgidStep(m, teacher, seqs, w.o.Answer, opt)
}

// vgidStep takes the steps of vgid's Distill objective on the last rows of
// every sequence.
func vgidStep(m, teacher *model.Model, seqs []model.Sequence, answer int, opt *optim.Optimizer) error {
	record, plain := tape.For(m.Backend()), tape.For(m.Backend())
	defer record.Close()
	defer plain.Close()
	b, err := teacher.Pack(seqs)
	if err != nil {
		return err
	}
	var rows []int32
	var weights []float32
	for i := range seqs {
		for r := b.Len(i) - min(answer, b.Len(i)); r < b.Len(i); r++ {
			rows, weights = append(rows, int32(b.Start(i)+r)), append(weights, 1)
		}
	}
	base := teacher.Base()
	mark := plain.Mark()
	hidden := plain.Value(plain.Release(mark, base.Rows(plain, base.Hidden(plain, b), rows)))
	b.Release()
	if b, err = m.Pack(seqs); err != nil {
		return err
	}
	defer func() {
		if b != nil {
			b.Release()
		}
	}()
	record.Reset(tape.Options{Grad: true})
	m.ZeroGrads()
	m.KL(record, m.Hidden(record, b), rows, hidden, weights, model.KLOptions{Teacher: base})
	if err := m.Backward(record, nil); err != nil {
		return err
	}
	// A device that copies beside its operations reads the next step's input while
	// it works on this one's.
	for _, of := range []*model.Model{teacher, m} {
		b.Release()
		if b, err = of.Pack(seqs); err != nil {
			return err
		}
	}
	if err := opt.Step(1e-4); err != nil {
		return err
	}
	return m.Backend().Sync()
}
