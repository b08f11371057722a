package run

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"vgid/collective"
	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/train"
)

// restored is how many values one broadcast of a checkpoint carries: 16 MiB.
// A broadcast has one deadline however much it carries, and a slow link has to keep it.
const restored = 4 << 20

// resume continues the stage from a checkpoint, on a run that is resumed.
func (w *work) resume(ctx context.Context) error {
	if !w.j.Config.Resume {
		return nil
	}
	ok, err := w.restore(ctx)
	if err != nil {
		return err
	}
	if done, _ := w.trainer.Done(); ok {
		w.j.Show.Printf("%s: resumed after step %d", w.Name, done)
	} else {
		w.j.Show.Printf("no checkpoint of %s found, starting from the beginning", w.Name)
	}
	return nil
}

// restore continues the stage from rank 0's newest checkpoint and reports whether
// there is one. The others get it from rank 0. All ranks call it.
//
// Values and both moments of AdamW travel as float32, the type that they are kept in, so
// that a resumed run goes on to the bit.
func (w *work) restore(ctx context.Context) (bool, error) {
	ranks, t := w.j.ranks, w.trainer
	trained := t.Values()
	var s train.State
	// What the others have to know before the values come: a State's arrays are as long on
	// every rank as the model trains values, so that the step is enough.
	type header struct {
		Found bool
		Step  int
	}
	h, err := barrier.FromRank0(ctx, ranks, func(context.Context) (h header, err error) {
		if s, h.Found, err = train.LoadCheckpoint(w.ckpt, w.settings(), w.read, t.Layout()); err == nil && h.Found && len(s.Values) != trained {
			err = fmt.Errorf("checkpoint %s holds %d values, the model trains %d: remove it to start the stage afresh", w.ckpt, len(s.Values), trained)
		}
		h.Step = s.Step
		return h, err
	})
	if err != nil || !h.Found {
		return false, err
	}
	if s.Step = h.Step; ranks.Rank() != 0 {
		s.Values, s.M, s.V = make([]float32, trained), make([]float32, trained), make([]float32, trained)
	}
	for _, v := range [][]float32{s.Values, s.M, s.V} {
		for part := range slices.Chunk(v, restored) {
			if err := ranks.Comm().Broadcast(ctx, collective.F32(part), 0); err != nil {
				return false, err
			}
		}
	}
	if err := t.Restore(s); err != nil {
		return false, fmt.Errorf("checkpoint %s: %w", w.ckpt, err)
	}
	return true, nil
}

// checkpoint keeps the stage as it is after the last step. All ranks call it.
// Rank 0's state is everybody's: behind a step all ranks hold equal parameters.
func (w *work) checkpoint(ctx context.Context) error {
	err := w.j.ranks.OnRank0(ctx, func() error {
		s, err := w.trainer.State()
		if err != nil {
			return err
		}
		return train.SaveCheckpoint(w.ckpt, w.settings(), w.read, s)
	})
	if err == nil {
		w.j.Metrics.Checkpoint(w.Name, time.Now())
	}
	return err
}

// settings are those that a checkpoint depends on: it may be gone on from to write the
// model in another type.
func (w *work) settings() config.Config {
	c := w.j.Config.For(w.Name)
	c.Model.DType = ""
	return c
}

// drop removes the checkpoints once the record says that the stage is finished, and what
// a run that was killed while it wrote one left there.
func (w *work) drop(ctx context.Context) error {
	return w.j.ranks.OnRank0(ctx, func() error { return os.RemoveAll(w.ckpt) })
}
