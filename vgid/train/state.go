package train

import (
	"context"
	"errors"

	"vgid/collective"
	"vgid/collective/schedule"
	"vgid/model/optim"
)

// State is what a stage needs to go on exactly where it stopped. Everything
// random is a function of the step, so there is no generator state. It is the same
// whether the optimizer's work was sharded, and over how many workers.
type State struct {
	Step   int    // steps of the stage that are done
	Layout string // identifies the trained parameters and their order
	Len    int    // elements of each array, in flat order
	// Read copies elements of an array from one on, as many as dst holds.
	Read func(a optim.Array, dst []float32, from int) error
}

// Keep gives the state behind the last step to save, on rank 0. All ranks call it. Where
// the moments are spread over the ranks, rank 0 gets them while save reads, a piece
// at a time; save has to read the arrays in the order of stateArrays, each from its
// beginning to its end.
//
// It communicates by a communicator of its own, so that it may run beside calls of the
// trainer's.
func (t *Trainer) Keep(ctx context.Context, save func(State) error) error {
	s := State{Step: t.step, Layout: t.Layout(), Len: t.model.Flat().Len(), Read: t.opt.Read}
	if !t.Sharded {
		if t.Comm.Rank() != 0 {
			return nil
		}
		return save(s)
	}
	g := gathering{ctx: ctx, comm: t.states, opt: t.opt, size: t.Bucket << 10 / 4, n: s.Len}
	if t.Comm.Rank() != 0 {
		return g.rest()
	}
	s.Read = g.read
	// Where it fails the others still have to come to their end.
	return errors.Join(save(s), g.rest())
}

// gathering brings the moments of all ranks to rank 0, a bucket at a time, in the order
// of stateArrays.
//
// What must always hold: all ranks gather the same pieces in the same order, as many as
// there are, whatever rank 0 does with them.
type gathering struct {
	ctx     context.Context
	comm    *collective.Comm
	opt     *optim.Optimizer
	n, size int // elements of an array, of a bucket

	array, from int         // of the next piece: its array among the moments, its first element
	piece       []float32   // the last one
	of          optim.Array // its array
	at          int         // and first element
	failed      error
}

// next gathers a piece, and reports whether there was one left.
func (g *gathering) next() (bool, error) {
	if g.failed != nil || g.array == len(stateArrays)-1 { // the values are everybody's
		return false, g.failed
	}
	length := min(g.size, g.n-g.from)
	if cap(g.piece) < length {
		g.piece = make([]float32, length)
	}
	a, counts := stateArrays[g.array], make([]int, g.comm.Size())
	g.piece, g.of, g.at = g.piece[:length], a, g.from
	for r := range counts {
		lo, hi := schedule.Segment(length, len(counts), r)
		counts[r] = hi - lo
	}
	if g.failed = g.opt.Read(a, g.piece, g.from); g.failed != nil {
		return false, g.failed
	}
	lo, hi := schedule.Segment(length, g.comm.Size(), g.comm.Rank())
	if g.failed = g.comm.GatherV(g.ctx, collective.F32(g.piece[lo:hi]), collective.F32(g.piece), counts, 0); g.failed != nil {
		return false, g.failed
	}
	if g.from += length; g.from == g.n {
		g.array, g.from = g.array+1, 0
	}
	return true, nil
}

// rest gathers what is left.
func (g *gathering) rest() error {
	for {
		if more, err := g.next(); !more {
			return err
		}
	}
}

// read is State.Read on rank 0.
func (g *gathering) read(a optim.Array, dst []float32, from int) error {
	if a == optim.Values {
		return g.opt.Read(a, dst, from)
	}
	for len(dst) > 0 {
		if k := from - g.at; g.of == a && k >= 0 && k < len(g.piece) {
			n := copy(dst, g.piece[k:])
			dst, from = dst[n:], from+n
			if len(dst) == 0 {
				break
			}
		}
		more, err := g.next()
		if err != nil {
			return err
		}
		if !more {
			return errors.New("the moments are read in another order than they come")
		}
	}
	return nil
}

// Restore continues from a state behind step. Until its arrays are written, with
// Write, the trainer is of no use.
func (t *Trainer) Restore(step int) error {
	t.step = step
	return t.opt.SetUpdates(step * len(t.draw(0))) // the optimizer counts updates
}

// Write puts elements of an array of a state in their place, from one on. All ranks
// are given all of them, and keep what is theirs.
func (t *Trainer) Write(a optim.Array, src []float32, from int) error {
	return t.opt.Write(a, src, from)
}
