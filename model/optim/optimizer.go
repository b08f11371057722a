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

// Optimizer is AdamW over the flat parameters of a model.
//
// It belongs to the Flat it was made for: when the model trains something else,
// Step and Restore refuse. Step only queues work on the device; values and
// moments are those of the last Step once the device is synced.
// m1 and m2 are the moments, [Len] each in the order of the Flat; step counts the updates made.
type Optimizer struct {
	be     backend.Backend
	set    *params.Set
	cfg    Config
	flat   *params.Flat
	m1, m2 backend.Buffer
	norm   backend.Buffer // the sum of squares of the last step's gradients
	step   int
	runs   []decayRun
}

// decayRun is a stretch of the flat buffer that is decayed, or not, as a whole.
// from and to are elements; neighbours in the buffer share one, so that an update takes few calls.
type decayRun struct {
	from, to int
	decay    bool
}

// New makes an optimizer for what is trained of s now.
func New(s *params.Set, cfg Config) (*Optimizer, error) {
	flat, be := s.Flat(), s.Backend()
	if flat == nil {
		return nil, fmt.Errorf("optimizer: nothing is trained; add an adapter or choose trainable parameters")
	}
	if err := params.CheckTraining(be, 2, flat.Len(), "the optimizer's moments take"); err != nil {
		return nil, fmt.Errorf("optimizer: %w", err)
	}
	defer backend.For(be, backend.Moments)()
	o := &Optimizer{be: be, set: s, cfg: cfg, flat: flat}
	var err error
	for _, b := range []struct {
		buf *backend.Buffer
		n   int
	}{{&o.m1, flat.Len()}, {&o.m2, flat.Len()}, {&o.norm, 1}} {
		if *b.buf, err = be.Alloc(backend.F32, b.n); err != nil {
			o.Close()
			return nil, fmt.Errorf("optimizer: no memory for moments of %d values: %w", flat.Len(), err)
		}
	}
	from := 0
	for w, end := range flat.Each {
		if n := len(o.runs); n > 0 && o.runs[n-1].decay == w.Decay {
			o.runs[n-1].to = end
		} else {
			o.runs = append(o.runs, decayRun{from, end, w.Decay})
		}
		from = end
	}
	return o, nil
}

// Close frees the moments.
func (o *Optimizer) Close() {
	for _, b := range [...]backend.Buffer{o.m1, o.m2, o.norm} {
		if b != nil {
			o.be.Free(b)
		}
	}
	o.m1, o.m2, o.norm = nil, nil, nil
}

// Step updates the parameters from the gradients with learning rate lr. It fails
// when the model trains something else by now.
func (o *Optimizer) Step(lr float32) error {
	if o.set.Flat() != o.flat {
		return fmt.Errorf("optimizer: what the model trains has changed since the optimizer was made")
	}
	be, values, grads := o.be, o.flat.Values(), o.flat.Grads()
	norm := backend.View(o.norm, 0, 1, 1)
	be.Fill(norm, 0)
	// All gradients share one norm, whatever runs they are in; the zeros between groups add
	// nothing.
	be.SumSquares(norm, grads)
	o.step++
	h := backend.AdamW{
		LR: lr, Beta1: o.cfg.Beta1, Beta2: o.cfg.Beta2, Eps: o.cfg.Eps,
		ClipNorm: o.cfg.ClipNorm, Step: o.step,
	}
	for _, r := range o.runs {
		h.WeightDecay = 0
		if r.decay {
			h.WeightDecay = o.cfg.WeightDecay
		}
		n := r.to - r.from
		be.AdamW(backend.View(values.Buf, r.from, 1, n), backend.View(grads.Buf, r.from, 1, n),
			backend.View(o.m1, r.from, 1, n), backend.View(o.m2, r.from, 1, n), norm, h)
	}
	return nil
}

// GradNorm waits for the last step and returns the global norm of its
// gradients before clipping.
func (o *Optimizer) GradNorm() (float64, error) {
	var sq [1]float32
	if err := o.be.Download(sq[:], backend.View(o.norm, 0, 1, 1)); err != nil {
		return 0, err
	}
	return math.Sqrt(float64(sq[0])), nil
}

// TrainState is what a checkpoint needs to continue: the number of updates
// made, the trained values and both moments, all in flat order.
type TrainState struct {
	Step         int
	Values, M, V []float32
}

// State downloads the training state.
func (o *Optimizer) State() (TrainState, error) {
	n := o.flat.Len()
	s := TrainState{Step: o.step, Values: make([]float32, n), M: make([]float32, n), V: make([]float32, n)}
	for _, c := range []struct {
		dst []float32
		src backend.Buffer
	}{{s.Values, o.flat.Values().Buf}, {s.M, o.m1}, {s.V, o.m2}} {
		if err := o.be.Download(c.dst, backend.View(c.src, 0, 1, n)); err != nil {
			return TrainState{}, err
		}
	}
	return s, nil
}

// Restore continues from a State of a model that trains the same parameters.
func (o *Optimizer) Restore(s TrainState) error {
	n := o.flat.Len()
	if len(s.Values) != n || len(s.M) != n || len(s.V) != n {
		return fmt.Errorf("optimizer: the state has %d values and moments of %d and %d, the model trains %d", len(s.Values), len(s.M), len(s.V), n)
	}
	if s.Step < 0 {
		return fmt.Errorf("optimizer: the state's step %d is negative", s.Step)
	}
	o.be.Upload(o.flat.Values(), s.Values)
	o.be.Upload(backend.View(o.m1, 0, 1, n), s.M)
	o.be.Upload(backend.View(o.m2, 0, 1, n), s.V)
	o.step = s.Step
	return o.be.Sync()
}
