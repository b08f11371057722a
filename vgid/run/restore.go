package run

import (
	"context"
	"fmt"
	"slices"

	"vgid/collective"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/train"
)

// restored is how many values one broadcast of a checkpoint carries: 16 MiB.
const restored = 4 << 20

// restore continues a stage from rank 0's newest checkpoint and reports whether
// there is one. The others get it from rank 0. All ranks call it.
func (j *Job) restore(ctx context.Context, dir string, inputs origin.List, t *train.Trainer) (bool, error) {
	trained := t.Values()
	var s train.State
	type header struct {
		Found bool
		Step  int
	}
	h, err := barrier.FromRank0(ctx, j.ranks, func(context.Context) (h header, err error) {
		if s, h.Found, err = train.LoadCheckpoint(dir, j.forCheckpoint(t.Stage), inputs, t.Layout()); err == nil && h.Found && len(s.Values) != trained {
			err = fmt.Errorf("checkpoint %s holds %d values, the model trains %d: remove it to start the stage afresh", dir, len(s.Values), trained)
		}
		h.Step = s.Step
		return h, err
	})
	if err != nil || !h.Found {
		return false, err
	}
	if s.Step = h.Step; j.ranks.Rank() != 0 {
		s.Values, s.M, s.V = make([]float32, trained), make([]float32, trained), make([]float32, trained)
	}
	for _, v := range [][]float32{s.Values, s.M, s.V} {
		for part := range slices.Chunk(v, restored) {
			if err := j.Comm.Broadcast(ctx, collective.F32(part), 0); err != nil {
				return false, err
			}
		}
	}
	if err := t.Restore(s); err != nil {
		return false, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return true, nil
}
