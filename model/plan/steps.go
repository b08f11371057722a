package plan

import (
	"context"
	"errors"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/hf/modeldir"
	"vgid/model/tape"
)

// work is a model on a device.
// weights and trained are in bytes, filled as the step goes; without count they stay 0.
type work struct {
	m     *model.Model
	be    backend.Backend
	o     Options
	count func() backend.MemoryUse // what is allocated, where that is known

	weights, trained int64
	parameters       int
}

// live is what is allocated now, in bytes.
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
// Blank images and any tokens: what work takes does not depend on values.
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

// step is one of the training that is asked about, of an adapter or of all weights.
func (w *work) step(ctx context.Context, full, recompute bool) error {
	if w.o.Training == nil {
		return errors.New("no training is given to take a step of")
	}
	m, before := w.m, w.live()
	m.Recompute = recompute
	t, err := w.o.Training(ctx, m, full, func() (err error) {
		if full {
			_, err = m.Trainable("*")
		} else {
			_, err = m.AddLoRA(w.o.LoRA)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer t.Close()
	w.weights = before
	_, w.parameters = m.NumParameters()
	w.trained = w.live() - w.weights
	seqs, err := w.sequences()
	if err != nil {
		return err
	}
	return t.Step(ctx, seqs, w.o.Answer)
}
