package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"vgid/collective"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/optim"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// StepResult is what a step did, over all workers but for Samples and Tokens.
type StepResult struct {
	Step            int // counted from 1
	Loss            map[string]float64
	GradNorm, LR    float64
	Samples, Tokens int
	Asked           bool // a worker was asked to end before the step's end: all end behind it
	Phases          monitor.Step
}

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

// prepared is a batch that was prepared before its turn.
type prepared struct {
	ok          bool
	step, share int // whose
	batch       Batch
	err         error
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

// Step runs the next optimizer step.
func (t *Trainer) Step(ctx context.Context) (StepResult, error) {
	out := StepResult{Step: t.step + 1, Loss: map[string]float64{}}
	out.LR = t.sched.At(t.step)
	out.Phases.Stage, out.Phases.Number = t.Stage, out.Step
	last := time.Now()
	lap := func(p monitor.Phase) {
		now := time.Now()
		out.Phases.Phases[p] += now.Sub(last)
		last = now
	}
	shares := t.draw(t.step)
	for i := range shares {
		if err := t.update(ctx, shares, i, &out, lap); err != nil {
			return out, err
		}
	}
	if err := t.finite(ctx, &out); err != nil {
		return out, err
	}
	t.step++
	s := &out.Phases
	s.Samples, s.Tokens, s.Loss, s.GradNorm, s.LR = out.Samples, out.Tokens, out.Loss, out.GradNorm, out.LR
	return out, nil
}

// update takes the gradient of a batch of this step over all workers and adds it
// to the weights; out takes what it did.
func (t *Trainer) update(ctx context.Context, shares [][]Sample, i int, out *StepResult, lap func(monitor.Phase)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := t.take(ctx, i, shares[i])
	if err != nil {
		return t.at(err)
	}
	defer b.Release()
	own, err := b.Weights(ctx)
	if err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseData)
	weight, err := t.sum(ctx, own)
	if err != nil {
		return err
	}
	lap(monitor.PhaseComm)
	if err := t.gradient(ctx, b, weight, lap); err != nil {
		return t.at(err)
	}
	t.lookAhead(ctx, shares, i+1)
	lap(monitor.PhaseData)
	if err := t.reducer.finish(); err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseComm)
	if err := t.optimize(ctx, float32(out.LR), lap); err != nil {
		return t.at(err)
	}
	if err := t.report(ctx, b, weight, out); err != nil {
		return err
	}
	out.Samples += len(shares[i])
	out.Tokens += b.Tokens()
	lap(monitor.PhaseComm)
	return nil
}

// optimize updates the parameters: all of them, or where that is sharded those of this
// worker, which then gets the others' from them.
func (t *Trainer) optimize(ctx context.Context, lr float32, lap func(monitor.Phase)) error {
	if !t.Sharded {
		defer lap(monitor.PhaseOptimizer)
		return t.opt.Step(lr)
	}
	squares, err := t.opt.Squares()
	if err != nil {
		return err
	}
	lap(monitor.PhaseOptimizer)
	// Of each part one worker has the sum, the others 0: adding them up rounds nothing.
	if err := t.Comm.AllReduce(ctx, collective.F32(squares), collective.Sum); err != nil {
		return err
	}
	lap(monitor.PhaseComm)
	if err := t.opt.Update(lr, squares, t.reducer.updated); err != nil {
		return err
	}
	lap(monitor.PhaseOptimizer)
	defer lap(monitor.PhaseComm)
	return t.reducer.gather()
}

// sum adds up values over all workers.
func (t *Trainer) sum(ctx context.Context, values []float64) ([]float64, error) {
	out := slices.Clone(values)
	return out, t.Comm.AllReduce(ctx, collective.F64(out), collective.Sum)
}

// gradient queues the passes of a batch, and sends gradients on their way as they
// become final. The loss is normalised by the weight of all workers, so that their
// number does not change it.
func (t *Trainer) gradient(ctx context.Context, b Batch, weight []float64, lap func(monitor.Phase)) error {
	norm := make([]float64, len(weight))
	for i, w := range weight {
		if w > 0 {
			norm[i] = 1 / w
		}
	}
	t.model.ZeroGrads()
	t.reducer.begin(ctx)
	for part, parts := 0, b.Parts(); part < parts; part++ {
		// Gradients travel while the last micro-batch adds to them.
		ready := t.reducer.ready
		if part < parts-1 {
			ready = nil
		}
		if err := t.micro(b, part, norm, ready, lap); err != nil {
			return err
		}
	}
	return nil
}

// report waits for the losses of a batch and gathers those of all workers.
func (t *Trainer) report(ctx context.Context, b Batch, weight []float64, out *StepResult) error {
	own, err := b.Losses()
	if err != nil {
		return t.at(err)
	}
	// Who is asked to end says so beside the losses, so that all end behind
	// the same step without another exchange.
	asked := 0.0
	if t.Asked != nil && t.Asked() {
		asked = 1
	}
	loss, err := t.sum(ctx, append(slices.Clone(own), asked))
	if err != nil {
		return err
	}
	out.Asked = loss[len(own)] > 0
	for i, term := range t.objective.Terms() {
		if weight[i] > 0 {
			out.Loss[term.Name] = loss[i]
		}
	}
	norm, err := t.opt.GradNorm()
	if err != nil {
		return t.at(err)
	}
	out.GradNorm = max(out.GradNorm, norm)
	return nil
}

// lossName is what messages call a term: "forget loss", but "loss" where it is all.
func lossName(term string) string {
	if term == LossTerm {
		return term
	}
	return term + " loss"
}

// finite refuses a step whose loss or gradient is no number.
func (t *Trainer) finite(ctx context.Context, out *StepResult) error {
	// In one order, so that all workers name the same loss.
	for _, name := range slices.Sorted(maps.Keys(out.Loss)) {
		l := out.Loss[name]
		if math.IsNaN(l) || math.IsInf(l, 0) {
			if t.step == 0 { // nothing has been trained yet
				why, err := t.model.WhyNotFinite(ctx, true)
				if err != nil {
					return t.at(err)
				}
				return fmt.Errorf("%s: the %s is %v before the first update: %s", t.Stage, lossName(name), l, why)
			}
			return fmt.Errorf("%s, step %d: the %s is %v: lower the learning rate (%g) or raise the batch", t.Stage, t.step+1, lossName(name), l, out.LR)
		}
	}
	// Finite losses may have gradients that are not: what they were added to is lost.
	if n := out.GradNorm; math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%s, step %d: the norm of the gradient is %v: lower the learning rate (%g) or raise the batch", t.Stage, t.step+1, n, out.LR)
	}
	return nil
}

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

func (t *Trainer) draw(step int) [][]Sample { return t.objective.Draw(step, t.Shard) }

// take gives the batch of a share of this step: it is prepared, unless that has been
// done.
func (t *Trainer) take(ctx context.Context, i int, share []Sample) (Batch, error) {
	n := t.next
	if n.ok && n.step == t.step && n.share == i {
		t.next = prepared{}
		return n.batch, n.err
	}
	t.drop()
	return t.objective.Prepare(ctx, t.step, share)
}

// drop gives back the batch that was prepared ahead.
func (t *Trainer) drop() {
	if t.next.batch != nil {
		t.next.batch.Release()
	}
	t.next = prepared{}
}

// lookAhead prepares the batch of this step, or the first of the next, and begins
// to upload it, while the device works off what is queued and gradients travel. An
// error waits for the batch's turn.
func (t *Trainer) lookAhead(ctx context.Context, shares [][]Sample, i int) {
	step := t.step
	if i == len(shares) {
		step, i = step+1, 0
	}
	if step == t.Steps {
		return
	}
	if step > t.step {
		shares = t.draw(step)
	}
	n := prepared{ok: true, step: step, share: i}
	if n.batch, n.err = t.objective.Prepare(ctx, step, shares[i]); n.err == nil {
		if n.err = n.batch.Upload(); n.err != nil {
			n.batch.Release()
			n.batch = nil
		}
	}
	t.next = n
}

// micro adds the gradients of a micro-batch.
func (t *Trainer) micro(b Batch, part int, norm []float64, ready func(int), lap func(monitor.Phase)) error {
	t.tape.Reset(tape.Options{Grad: true, Seed: t.Seed, Step: uint32(t.step)})
	p := Pass{Tape: t.tape, Part: part, Norm: norm, Lap: lap}
	defer p.end()
	if err := b.Forward(&p); err != nil {
		return err
	}
	lap(monitor.PhaseForward)
	if err := t.model.Backward(t.tape, ready); err != nil {
		return err
	}
	lap(monitor.PhaseBackward)
	return nil
}
