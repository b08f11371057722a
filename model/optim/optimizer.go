// Package optim changes what a model trains: AdamW over its flat parameters, and
// the learning rate of every step.
package optim

import (
	"fmt"
	"math"

	"vgid/model/backend"
	"vgid/model/params"
)

// Config holds the hyper-parameters of AdamW (Loshchilov & Hutter
// 2019) that do not change from step to step.
type Config struct {
	Beta1, Beta2, Eps float32
	WeightDecay       float32 // on matrices only, not on norms and biases
	ClipNorm          float32 // largest global gradient norm; 0 for no limit
}

// Optimizer is AdamW over the flat parameters of a model, or over a part of them,
// where several share the work (Part).
//
// What must always hold: it belongs to the Flat it was made for, and when the model
// trains something else, Step and Write refuse; the moments are those of the parts it
// owns, in flat order; and whatever is owned by whom, a parameter becomes the same bits.
// Updates only queue work on the device; values and moments are those of the last one
// once the device is synced.
type Optimizer struct {
	be     backend.Backend
	set    *params.Set
	cfg    Config
	flat   *params.Flat
	parts  []Part
	own    []stretch
	runs   []decayRun
	m1, m2 backend.Buffer // the moments of what is owned
	norm   backend.Buffer // the sum of squares of the last step's gradients
	sums   backend.Buffer // of each part; nil where there is one
	total  float64        // of sums
	step   int            // updates made
}

// decayRun is a stretch that is decayed, or not, as a whole.
type decayRun struct {
	stretch
	decay bool
}

// New makes an optimizer for what is trained of s now, or for the parts of it that are
// its own. The parts together are all of it, each element once; without any, it is one.
func New(s *params.Set, cfg Config, parts ...Part) (*Optimizer, error) {
	flat, be := s.Flat(), s.Backend()
	if flat == nil {
		return nil, fmt.Errorf("optimizer: nothing is trained; add an adapter or choose trainable parameters")
	}
	if len(parts) == 0 {
		parts = []Part{{Len: flat.Len(), Count: 1, Own: true}}
	}
	own, n, err := owned(parts, flat.Len())
	if err != nil {
		return nil, fmt.Errorf("optimizer: %w", err)
	}
	if err := params.CheckTraining(be, 2, n, "the optimizer's moments take"); err != nil {
		return nil, fmt.Errorf("optimizer: %w", err)
	}
	defer backend.For(be, backend.Moments)()
	o := &Optimizer{be: be, set: s, cfg: cfg, flat: flat, parts: parts, own: own, runs: decayRuns(flat, own)}
	for _, b := range []struct {
		buf *backend.Buffer
		n   int
	}{{&o.m1, n}, {&o.m2, n}, {&o.norm, 1}, {&o.sums, len(parts)}} {
		if b.buf == &o.sums && len(parts) == 1 {
			continue
		}
		if *b.buf, err = be.Alloc(backend.F32, b.n); err != nil {
			o.Close()
			return nil, fmt.Errorf("optimizer: no memory for moments of %d values: %w", n, err)
		}
	}
	return o, nil
}

// decayRuns cuts what is owned where weights that are decayed meet others. Neighbours
// share a run, so that an update takes few calls.
func decayRuns(flat *params.Flat, own []stretch) (runs []decayRun) {
	from := 0
	for w, end := range flat.Each {
		for len(own) > 0 && own[0].from < end {
			s := own[0]
			s.from, s.at = max(s.from, from), s.at+max(s.from, from)-s.from
			s.to = min(s.to, end)
			if n := len(runs); n > 0 && runs[n-1].decay == w.Decay && runs[n-1].to == s.from {
				runs[n-1].to = s.to
			} else if s.from < s.to {
				runs = append(runs, decayRun{s, w.Decay})
			}
			if own[0].to > end {
				break // it goes on in the next weight
			}
			own = own[1:]
		}
		from = end
	}
	return runs
}

// Close frees the moments.
func (o *Optimizer) Close() {
	for _, b := range [...]backend.Buffer{o.m1, o.m2, o.norm, o.sums} {
		if b != nil {
			o.be.Free(b)
		}
	}
	o.m1, o.m2, o.norm, o.sums = nil, nil, nil, nil
}

// Step updates the parameters from the gradients with learning rate lr. It is for an
// optimizer that owns all of them.
func (o *Optimizer) Step(lr float32) error {
	if len(o.parts) == 1 {
		if err := o.current(); err != nil {
			return err
		}
		norm := o.normSq()
		o.be.Fill(norm, 0)
		// All gradients share one norm, whatever runs they are in; the zeros between groups
		// add nothing.
		o.be.SumSquares(norm, o.flat.Grads())
		return o.update(lr, nil)
	}
	squares, err := o.Squares()
	if err != nil {
		return err
	}
	return o.Update(lr, squares, nil)
}

// Squares waits for the gradients and gives the sum of their squares, of each part that
// is owned one, and 0 of the others. Who shares the work adds up those of all, by
// part, before Update: each is then one optimizer's sum, whoever it is.
func (o *Optimizer) Squares() ([]float32, error) {
	if err := o.current(); err != nil {
		return nil, err
	}
	sums := o.sums
	if sums == nil {
		sums = o.norm
	}
	o.be.Fill(backend.View(sums, 0, 1, len(o.parts)), 0)
	for i, p := range o.parts {
		if p.Own && p.Len > 0 && p.Count > 0 {
			grads := backend.Tensor{Buf: o.flat.Grads().Buf, Off: p.From, Rows: p.Count, Cols: p.Len, Stride: p.Stride}
			if p.Count == 1 {
				grads.Stride = p.Len
			}
			o.be.SumSquares(backend.View(sums, i, 1, 1), grads)
		}
	}
	out := make([]float32, len(o.parts))
	return out, o.be.Download(out, backend.View(sums, 0, 1, len(out)))
}

// Update updates the parameters that are owned, with learning rate lr and the sums of
// squares of the gradients of all parts. done, if not nil, is called with a growing n
// whenever the update of all that are owned among the elements [0, n) has been queued,
// and at the end with the length of the buffer.
func (o *Optimizer) Update(lr float32, squares []float32, done func(n int) error) error {
	if err := o.current(); err != nil {
		return err
	}
	if len(squares) != len(o.parts) {
		return fmt.Errorf("optimizer: sums of squares of %d parts are given, there are %d", len(squares), len(o.parts))
	}
	o.total = 0
	for _, s := range squares { // in one order, whoever computed them
		o.total += float64(s)
	}
	o.be.Upload(o.normSq(), []float32{float32(o.total)})
	if err := o.update(lr, done); err != nil || done == nil {
		return err
	}
	return done(o.flat.Len())
}

// update queues an update by the norm that is on the device.
func (o *Optimizer) update(lr float32, done func(n int) error) error {
	be, values, grads, norm := o.be, o.flat.Values(), o.flat.Grads(), o.normSq()
	o.step++
	h := backend.AdamW{
		LR: lr, Beta1: o.cfg.Beta1, Beta2: o.cfg.Beta2, Eps: o.cfg.Eps,
		ClipNorm: o.cfg.ClipNorm, Step: o.step,
	}
	for _, r := range o.runs {
		if done != nil {
			if err := done(r.from); err != nil {
				return err
			}
		}
		h.WeightDecay = 0
		if r.decay {
			h.WeightDecay = o.cfg.WeightDecay
		}
		n := r.to - r.from
		be.AdamW(backend.View(values.Buf, r.from, 1, n), backend.View(grads.Buf, r.from, 1, n),
			backend.View(o.m1, r.at, 1, n), backend.View(o.m2, r.at, 1, n), norm, h)
	}
	return nil
}

// current fails when the model trains something else by now.
func (o *Optimizer) current() error {
	if o.set.Flat() != o.flat {
		return fmt.Errorf("optimizer: what the model trains has changed since the optimizer was made")
	}
	return nil
}

func (o *Optimizer) normSq() backend.Tensor { return backend.View(o.norm, 0, 1, 1) }

// GradNorm waits for the last step and returns the global norm of its
// gradients before clipping.
func (o *Optimizer) GradNorm() (float64, error) {
	if o.sums != nil {
		return math.Sqrt(float64(float32(o.total))), nil
	}
	var sq [1]float32
	if err := o.be.Download(sq[:], o.normSq()); err != nil {
		return 0, err
	}
	return math.Sqrt(float64(sq[0])), nil
}
