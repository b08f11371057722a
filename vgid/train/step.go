package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"vgid/collective"
	"vgid/model/tape"
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
	shares, waited := t.draw(t.step), t.Comm.Stats().Waited
	t.reducer.traffic = monitor.Communication{}
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
	worked := s.Comm.Worked
	s.Comm = t.reducer.traffic
	s.Comm.Worked, s.Comm.Waited = worked, t.Comm.Stats().Waited
	for r := range waited {
		s.Comm.Waited[r] -= waited[r]
	}
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
	// The passes need the weight of all workers only where they come to the loss.
	weight := t.sum(ctx, own)
	if err := t.gradient(ctx, b, weight, lap); err != nil {
		return t.at(err)
	}
	t.lookAhead(ctx, shares, i+1)
	lap(monitor.PhaseData)
	if err := t.reducer.finish(); err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseComm)
	// The losses travel while the parameters are updated.
	losses, err := t.tell(ctx, b, out)
	if err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseData)
	if err := t.optimize(ctx, float32(out.LR), lap); err != nil {
		return t.at(err)
	}
	if err := t.report(weight, losses, out); err != nil {
		return t.at(err)
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

// sum begins to add up values over all workers.
func (t *Trainer) sum(ctx context.Context, values []float64) *total {
	s := &total{ctx: ctx, values: slices.Clone(values)}
	s.handle = t.Comm.Async().AllReduce(ctx, collective.F64(s.values), collective.Sum)
	return s
}

// total are sums over all workers that are on their way.
type total struct {
	ctx    context.Context
	values []float64
	handle *collective.Handle
}

// wait gives the sums.
func (s *total) wait() ([]float64, error) { return s.values, s.handle.Wait(s.ctx) }

// gradient queues the passes of a batch, and sends gradients on their way as they
// become final. The loss is normalised by the weight of all workers, so that their
// number does not change it.
func (t *Trainer) gradient(ctx context.Context, b Batch, weight *total, lap func(monitor.Phase)) error {
	t.model.ZeroGrads()
	t.reducer.begin(ctx)
	for part, parts := 0, b.Parts(); part < parts; part++ {
		// Gradients travel while the last micro-batch adds to them.
		ready := t.reducer.ready
		if part < parts-1 {
			ready = nil
		}
		if err := t.micro(b, part, weight, ready, lap); err != nil {
			return err
		}
	}
	return nil
}

// tell waits for the losses of a batch and begins to add up those of all workers.
func (t *Trainer) tell(ctx context.Context, b Batch, out *StepResult) (*total, error) {
	own, err := b.Losses()
	if err != nil {
		return nil, err
	}
	// Who is asked to end says so beside the losses, so that all end behind
	// the same step without another exchange.
	asked := 0.0
	if t.Asked != nil && t.Asked() {
		asked = 1
	}
	// And each worker how long it took so far, in a place of its own: none of the losses
	// depends on it.
	worked := make([]float64, t.Comm.Size())
	worked[t.Comm.Rank()] = (out.Phases.Whole() - out.Phases.Exposed()).Seconds()
	return t.sum(ctx, slices.Concat(own, []float64{asked}, worked)), nil
}

// report takes the losses of all workers.
func (t *Trainer) report(weights, losses *total, out *StepResult) error {
	weight, err := weights.wait()
	if err != nil {
		return err
	}
	loss, err := losses.wait()
	if err != nil {
		return err
	}
	out.Asked = loss[len(weight)] > 0
	out.Phases.Comm.Worked = nil // of a step of several updates, the last
	for _, seconds := range loss[len(weight)+1:] {
		out.Phases.Comm.Worked = append(out.Phases.Comm.Worked, time.Duration(seconds*float64(time.Second)))
	}
	for i, term := range t.objective.Terms() {
		if weight[i] > 0 {
			out.Loss[term.Name] = loss[i]
		}
	}
	norm, err := t.opt.GradNorm()
	if err != nil {
		return err
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

// finite refuses a step whose loss or gradient is no number. It names the learning rate that is
// set, not what the schedule makes of it in this step.
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
			return fmt.Errorf("%s, step %d: the %s is %v: lower the learning rate (%g) or raise the batch", t.Stage, t.step+1, lossName(name), l, t.Optim.LR)
		}
	}
	// Finite losses may have gradients that are not: what they were added to is lost.
	if n := out.GradNorm; math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%s, step %d: the norm of the gradient is %v: lower the learning rate (%g) or raise the batch", t.Stage, t.step+1, n, t.Optim.LR)
	}
	return nil
}

// micro adds the gradients of a micro-batch.
func (t *Trainer) micro(b Batch, part int, weight *total, ready func(int), lap func(monitor.Phase)) error {
	t.tape.Reset(tape.Options{Grad: true, Seed: t.Seed, Step: uint32(t.step)})
	p := Pass{Tape: t.tape, Part: part, Lap: lap, weight: weight}
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
