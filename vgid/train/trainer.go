package train

import (
	"context"
	"fmt"

	"vgid/collective"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/optim"
	"vgid/model/tape"
	"vgid/vgid/config"
)

// Trainer runs the optimizer steps of one stage on one worker.
//
// What must always hold: all workers take the same steps in the same order, each
// with an exchange of weights, of gradients and of losses for every batch, whether
// or not samples fell to it; and no weight changes but by the sum of all workers'
// gradients. So the parameters of all are equal to the bit behind every step.
type Trainer struct {
	Options
	be        backend.Backend
	model     *model.Model
	objective Objective

	tape    *tape.Tape
	opt     *optim.Optimizer
	reducer *reducer
	sched   optim.Schedule
	states  *collective.Comm // by which states are kept, where the moments are spread; else nil
	step    int              // done
	next    prepared
}

// Options are what a trainer is told beside the model and the objective.
type Options struct {
	Stage  string // its name in errors and metrics
	Comm   *collective.Comm
	Shard  Shard // the worker's share of batches; zero: by its rank
	Optim  config.Optim
	Steps  int
	Seed   uint64
	Bucket int // KiB of gradients that are reduced together
	// Sharded: each worker updates its part of the parameters, and has the optimizer's
	// moments of that part alone.
	Sharded bool
	Asked   func() bool // whether this worker is asked to end; nil: never
}

// NewTrainer prepares a stage on a model whose trainable parameters have been
// chosen.
// All workers call it, with the same options but for Shard and Asked.
func NewTrainer(ctx context.Context, m *model.Model, obj Objective, o Options) (*Trainer, error) {
	if o.Shard == (Shard{}) {
		o.Shard = Shard{o.Comm.Rank(), o.Comm.Size()}
	}
	be := m.Backend()
	sched := optim.Schedule{Kind: o.Optim.Schedule, Peak: o.Optim.LR, Final: o.Optim.FinalLR, Warmup: o.Optim.Warmup, Steps: o.Steps}
	if err := sched.Validate(); err != nil {
		return nil, err
	}
	o.Sharded = o.Sharded && o.Shard.WorldSize > 1
	size := o.Bucket << 10 / 4 // elements
	opt, err := optim.New(m.Set, optim.Config{
		Beta1: float32(o.Optim.Beta1), Beta2: float32(o.Optim.Beta2), Eps: float32(o.Optim.Eps),
		WeightDecay: float32(o.Optim.WeightDecay), ClipNorm: float32(o.Optim.Clip),
	}, cut(m.Flat().Len(), size, o.Shard, o.Sharded)...)
	if err != nil {
		return nil, err
	}
	red, err := newReducer(o.Comm, be, m.Flat(), size, o.Sharded)
	if err != nil {
		opt.Close()
		return nil, err
	}
	t := &Trainer{Options: o, be: be, model: m, objective: obj, tape: tape.For(be), opt: opt, reducer: red, sched: sched}
	if o.Sharded && o.Comm.Size() > 1 {
		if t.states, err = o.Comm.Split(ctx, 0, o.Comm.Rank()); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// Close frees the trainer's device memory, not the model's.
func (t *Trainer) Close() {
	t.drop()
	t.reducer.close()
	t.tape.Close()
	t.opt.Close()
	if t.states != nil {
		_ = t.states.Close() // its calls have ended, with errors of their own
	}
}

// Done reports how many of how many steps are behind.
func (t *Trainer) Done() (step, of int) { return t.step, t.Steps }

// Elements is how many elements the arrays of a state have: what is trained, and the
// zeros that align it.
func (t *Trainer) Elements() int { return t.model.Flat().Len() }

// Rehearse takes one step so many times, and prepares nothing beyond it: for what
// that takes. The trainer is of no other use afterwards.
func (t *Trainer) Rehearse(ctx context.Context, step, times int) error {
	t.Steps = step + 1
	for range times {
		t.step = step
		if _, err := t.Step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// at says where a step failed.
func (t *Trainer) at(err error) error {
	return fmt.Errorf("%s, step %d: %w", t.Stage, t.step+1, err)
}
