package run

import (
	"context"
	"fmt"
	"os"
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
	trained := t.Elements()
	var from *train.Checkpoint
	defer func() {
		if from != nil {
			_ = from.Close() // it was only read
		}
	}()
	// What the others have to know before the values come: arrays are as long on every
	// rank as the model trains values, so that the step is enough.
	type header struct {
		Found bool
		Step  int
	}
	h, err := barrier.FromRank0(ctx, ranks, func(context.Context) (h header, err error) {
		if from, err = train.LoadCheckpoint(w.ckpt, w.settings(), w.read, t.Layout()); err != nil || from == nil {
			return h, err
		}
		if from.Len != trained {
			return h, fmt.Errorf("checkpoint %s holds %d values, the model trains %d: remove it to start the stage afresh", w.ckpt, from.Len, trained)
		}
		return header{true, from.Step}, nil
	})
	if err != nil || !h.Found {
		return false, err
	}
	if err := t.Restore(h.Step); err != nil {
		return false, fmt.Errorf("checkpoint %s: %w", w.ckpt, err)
	}
	piece := make([]float32, min(restored, trained))
	for _, a := range train.StateArrays() {
		for at := 0; at < trained; at += len(piece) {
			piece = piece[:min(restored, trained-at)]
			if ranks.Rank() == 0 {
				if err := from.Read(a, piece, at); err != nil {
					return false, err
				}
			}
			if err := ranks.Comm().Broadcast(ctx, collective.F32(piece), 0); err != nil {
				return false, err
			}
			if err := t.Write(a, piece, at); err != nil {
				return false, fmt.Errorf("checkpoint %s: %w", w.ckpt, err)
			}
		}
		piece = piece[:cap(piece)]
	}
	return true, nil
}

// checkpoint keeps the stage as it is after the last step. All ranks call it.
// Rank 0 writes, with moments of the others where they are sharded: behind a step all
// ranks hold equal parameters.
func (w *work) checkpoint(ctx context.Context) error {
	// What has begun is done to its end, also when a rank is asked to end meanwhile.
	err := w.j.ranks.Each(ctx, func(context.Context) error {
		return w.trainer.Keep(ctx, func(s train.State) error {
			return train.SaveCheckpoint(w.ckpt, w.settings(), w.read, s)
		})
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
