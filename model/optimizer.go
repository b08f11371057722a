package model

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// OptimizerConfig holds the hyper-parameters of AdamW (Loshchilov & Hutter
// 2019) that do not change from step to step.
type OptimizerConfig struct {
	Beta1, Beta2, Eps float32
	WeightDecay       float32 // on matrices only, not on norms and biases
	ClipNorm          float32 // largest global gradient norm; 0 for no limit
}

// Optimizer is AdamW over a model's flat parameters.
type Optimizer struct {
	m      *Model
	cfg    OptimizerConfig
	flat   *flat
	m1, m2 backend.Buffer
	norm   backend.Buffer
	step   int
	runs   []decayRun
}

// decayRun is a stretch of the flat buffer that is decayed, or not, as a whole.
type decayRun struct {
	from, to int
	decay    bool
}

// NewOptimizer makes an optimizer for what the model trains now.
func (m *Model) NewOptimizer(cfg OptimizerConfig) (*Optimizer, error) {
	if m.flat == nil {
		return nil, fmt.Errorf("optimizer: nothing is trained; add an adapter or choose trainable parameters")
	}
	if err := m.trainable(2, m.flat.n, "the optimizer's moments take"); err != nil {
		return nil, fmt.Errorf("optimizer: %w", err)
	}
	defer backend.For(m.be, backend.Moments)()
	o := &Optimizer{m: m, cfg: cfg, flat: m.flat}
	var err error
	for _, b := range []struct {
		buf *backend.Buffer
		n   int
	}{{&o.m1, m.flat.n}, {&o.m2, m.flat.n}, {&o.norm, 1}} {
		if *b.buf, err = m.be.Alloc(backend.F32, b.n); err != nil {
			o.Close()
			return nil, fmt.Errorf("optimizer: no memory for moments of %d values: %w", m.flat.n, err)
		}
	}
	from := 0
	for i, w := range m.flat.order {
		if n := len(o.runs); n > 0 && o.runs[n-1].decay == w.Decay {
			o.runs[n-1].to = m.flat.end[i]
		} else {
			o.runs = append(o.runs, decayRun{from, m.flat.end[i], w.Decay})
		}
		from = m.flat.end[i]
	}
	return o, nil
}

// Close frees the moments.
func (o *Optimizer) Close() {
	for _, b := range [...]backend.Buffer{o.m1, o.m2, o.norm} {
		if b != nil {
			o.m.be.Free(b)
		}
	}
	o.m1, o.m2, o.norm = nil, nil, nil
}

// Step updates the parameters from FlatGrads with learning rate lr. It fails
// when the model trains something else by now.
func (o *Optimizer) Step(lr float32) error {
	if o.m.flat != o.flat {
		return fmt.Errorf("optimizer: what the model trains has changed since the optimizer was made")
	}
	be, f := o.m.be, o.flat
	norm := backend.View(o.norm, 0, 1, 1)
	be.Fill(norm, 0)
	be.SumSquares(norm, o.m.FlatGrads())
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
		be.AdamW(backend.View(f.values, r.from, 1, n), backend.View(f.grads, r.from, 1, n),
			backend.View(o.m1, r.from, 1, n), backend.View(o.m2, r.from, 1, n), norm, h)
	}
	return nil
}

// GradNorm waits for the last step and returns the global norm of its
// gradients before clipping.
func (o *Optimizer) GradNorm() (float64, error) {
	var sq [1]float32
	if err := o.m.be.Download(sq[:], backend.View(o.norm, 0, 1, 1)); err != nil {
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
	n := o.flat.n
	s := TrainState{Step: o.step, Values: make([]float32, n), M: make([]float32, n), V: make([]float32, n)}
	for _, c := range []struct {
		dst []float32
		src backend.Buffer
	}{{s.Values, o.flat.values}, {s.M, o.m1}, {s.V, o.m2}} {
		if err := o.m.be.Download(c.dst, backend.View(c.src, 0, 1, n)); err != nil {
			return TrainState{}, err
		}
	}
	return s, nil
}

// Restore continues from a State of a model that trains the same parameters.
func (o *Optimizer) Restore(s TrainState) error {
	n := o.flat.n
	if len(s.Values) != n || len(s.M) != n || len(s.V) != n {
		return fmt.Errorf("optimizer: the state has %d values and moments of %d and %d, the model trains %d", len(s.Values), len(s.M), len(s.V), n)
	}
	if s.Step < 0 {
		return fmt.Errorf("optimizer: the state's step %d is negative", s.Step)
	}
	o.m.be.Upload(backend.View(o.flat.values, 0, 1, n), s.Values)
	o.m.be.Upload(backend.View(o.m1, 0, 1, n), s.M)
	o.m.be.Upload(backend.View(o.m2, 0, 1, n), s.V)
	o.step = s.Step
	return o.m.be.Sync()
}
