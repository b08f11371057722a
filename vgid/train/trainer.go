package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"vgid/collective"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

const terms = 3 // Learn, Forget, Retain

// Objective turns a worker's share of a batch into a loss. It is used by one
// goroutine: Draw, then for each of its batches Prepare and Begin, for each
// micro-batch of those Forward, and Collect. The next share may be prepared once
// the passes of the present one are queued.
type Objective interface {
	// Draw returns this worker's share of the batches of a step. Each batch is
	// followed by an update of the weights.
	Draw(step int, s Shard) [][]Sample
	// Batches is how many there are.
	Batches() int
	// Prepare encodes this worker's share and reports the total row weight of
	// each term in it.
	Prepare(ctx context.Context, step int, mine []Sample) (weight [terms]float64, err error)
	// Ahead reports whether Prepare leaves the device alone, so that it is worth
	// calling while that is busy.
	Ahead() bool
	// Stage uploads what the first pass over the prepared share reads.
	Stage() error
	// Begin makes the share that was prepared last the present one.
	Begin()
	// Parts is the number of micro-batches the present share is split into.
	Parts() int
	// Forward runs the passes of one of them and records the loss Σ_term
	// coef·Σ_rows w·l on the student's tape, with norm[term] = 1/Σw over all
	// samples of all workers. The laps it takes are the phases of the step.
	Forward(student *tape.Tape, part int, norm [terms]float64, lap func(monitor.Phase)) error
	// Collect reads the losses of every Forward since Begin. It waits for the
	// device; nothing before it does.
	Collect() error
	// Losses returns Σ_rows norm·w·l of each term over what was collected.
	Losses() [terms]float64
	// Tokens is the count of tokens of the student in the present share.
	Tokens() int
	// Terms are the terms that have a loss.
	Terms() []Term
	// Length is how many tokens the passes over a sample read, of the teacher and
	// the student together.
	Length(step int, s Sample) (int, error)
	// Close frees the objective's device memory, and its teacher's, not the
	// student's.
	Close()
}

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
type Trainer struct {
	stage     string
	comm      *collective.Comm
	be        backend.Backend
	model     *model.Model
	objective Objective
	optim     config.Optim
	steps     int
	seed      uint64

	tape    *tape.Tape
	opt     *model.Optimizer
	reducer *reducer
	sched   model.Schedule
	step    int // done
	ahead   prepared

	// Asked tells whether this worker is asked to end; nil: never.
	Asked func() bool
}

// prepared is the share that was prepared before its turn.
type prepared struct {
	step, batch int // whose
	ok          bool
	weight      [terms]float64
	err         error
}

// NewTrainer prepares a stage on a model whose trainable parameters have been
// chosen.
func NewTrainer(stage string, comm *collective.Comm, m *model.Model, obj Objective, optim config.Optim, steps int, seed uint64, cc config.Collective) (*Trainer, error) {
	be := m.Backend()
	opt, err := m.NewOptimizer(model.OptimizerConfig{
		Beta1: float32(optim.Beta1), Beta2: float32(optim.Beta2), Eps: float32(optim.Eps),
		WeightDecay: float32(optim.WeightDecay), ClipNorm: float32(optim.Clip),
	})
	if err != nil {
		return nil, err
	}
	sched := model.Schedule{Kind: optim.Schedule, Peak: optim.LR, Final: optim.FinalLR, Warmup: optim.Warmup, Steps: steps}
	if err := sched.Validate(); err != nil {
		return nil, err
	}
	red, err := newReducer(comm, be, m.FlatGrads(), cc.Bucket<<10)
	if err != nil {
		return nil, err
	}
	return &Trainer{
		stage: stage, comm: comm, be: be, model: m, objective: obj, optim: optim, steps: steps, seed: seed,
		tape: tape.For(be), opt: opt, reducer: red, sched: sched,
	}, nil
}

// Close frees the trainer's device memory, not the model's.
func (t *Trainer) Close() {
	t.reducer.close()
	t.tape.Close()
	t.opt.Close()
}

// Done reports how many of how many steps are behind.
func (t *Trainer) Done() (step, of int) { return t.step, t.steps }

// Stage is the name of the stage.
func (t *Trainer) Stage() string { return t.stage }

// Values is how many numbers are trained.
func (t *Trainer) Values() int {
	_, trained := t.model.NumParameters()
	return trained
}

// Step runs the next optimizer step.
func (t *Trainer) Step(ctx context.Context) (StepResult, error) {
	out := StepResult{Step: t.step + 1, Loss: map[string]float64{}}
	out.LR = t.sched.At(t.step)
	out.Phases.Stage, out.Phases.Number = t.stage, out.Step
	last := time.Now()
	lap := func(p monitor.Phase) {
		now := time.Now()
		out.Phases.Phases[p] += now.Sub(last)
		last = now
	}
	shares := t.draw(t.step)
	for batch := range shares {
		if err := t.update(ctx, shares, batch, &out, lap); err != nil {
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
func (t *Trainer) update(ctx context.Context, shares [][]Sample, batch int, out *StepResult, lap func(monitor.Phase)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	weight, err := t.prepare(ctx, batch, shares[batch])
	if err != nil {
		return t.at(err)
	}
	t.objective.Begin()
	lap(monitor.PhaseData)
	// The loss is normalised by the rows of all workers, so that their
	// number does not change it.
	if err := t.comm.AllReduce(ctx, collective.F64(weight[:]), collective.Sum); err != nil {
		return err
	}
	lap(monitor.PhaseComm)
	var norm [terms]float64
	for term, w := range weight {
		if w > 0 {
			norm[term] = 1 / w
		}
	}
	t.model.ZeroGrads()
	t.reducer.begin(ctx)
	for part, parts := 0, t.objective.Parts(); part < parts; part++ {
		// Gradients travel while the last micro-batch adds to them.
		ready := t.reducer.ready
		if part < parts-1 {
			ready = nil
		}
		if err := t.micro(part, norm, ready, lap); err != nil {
			return t.at(err)
		}
	}
	t.lookAhead(ctx, shares, batch+1)
	lap(monitor.PhaseData)
	if err := t.reducer.finish(); err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseComm)
	if err := t.opt.Step(float32(out.LR)); err != nil {
		return t.at(err)
	}
	lap(monitor.PhaseOptimizer)
	if err := t.objective.Collect(); err != nil {
		return t.at(err)
	}
	// Who is asked to end says so beside the losses, so that all end behind
	// the same step without another exchange.
	var loss [terms + 1]float64
	sums := t.objective.Losses()
	copy(loss[:], sums[:])
	if t.Asked != nil && t.Asked() {
		loss[terms] = 1
	}
	if err := t.comm.AllReduce(ctx, collective.F64(loss[:]), collective.Sum); err != nil {
		return err
	}
	out.Asked = loss[terms] > 0
	for _, term := range t.objective.Terms() {
		if weight[term] > 0 {
			out.Loss[term.String()] = loss[term]
		}
	}
	norm2, err := t.opt.GradNorm()
	if err != nil {
		return t.at(err)
	}
	out.GradNorm = max(out.GradNorm, norm2)
	out.Samples += len(shares[batch])
	out.Tokens += t.objective.Tokens()
	lap(monitor.PhaseComm)
	return nil
}

// finite refuses a step whose loss or gradient is no number.
func (t *Trainer) finite(ctx context.Context, out *StepResult) error {
	for name, l := range out.Loss {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			if t.step == 0 { // nothing has been trained yet
				why, err := t.model.WhyNotFinite(ctx, true)
				if err != nil {
					return t.at(err)
				}
				return fmt.Errorf("%s: the %s loss is %v before the first update: %s", t.stage, name, l, why)
			}
			return fmt.Errorf("%s, step %d: the %s loss is %v: lower the learning rate (%g) or raise the batch", t.stage, t.step+1, name, l, out.LR)
		}
	}
	// Finite losses may have gradients that are not: what they were added to is lost.
	if n := out.GradNorm; math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%s, step %d: the norm of the gradient is %v: lower the learning rate (%g) or raise the batch", t.stage, t.step+1, n, out.LR)
	}
	return nil
}

// Rehearse takes one step so many times, and prepares nothing beyond it: for what
// that takes. The trainer is of no other use afterwards.
func (t *Trainer) Rehearse(ctx context.Context, step, times int) error {
	t.steps = step + 1
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
	return fmt.Errorf("%s, step %d: %w", t.stage, t.step+1, err)
}

func (t *Trainer) draw(step int) [][]Sample {
	return t.objective.Draw(step, Shard{t.comm.Rank(), t.comm.Size()})
}

// prepare prepares a share of this step, unless that has been done.
func (t *Trainer) prepare(ctx context.Context, batch int, mine []Sample) ([terms]float64, error) {
	a := t.ahead
	t.ahead = prepared{}
	if a.ok && a.step == t.step && a.batch == batch {
		return a.weight, a.err
	}
	return t.objective.Prepare(ctx, t.step, mine)
}

// lookAhead prepares the batch of this step, or the first of the next, and begins
// to upload it, while the device works off what is queued and gradients travel.
func (t *Trainer) lookAhead(ctx context.Context, shares [][]Sample, batch int) {
	step := t.step
	if batch == len(shares) {
		step, batch = step+1, 0
	}
	if step == t.steps || !t.objective.Ahead() {
		return
	}
	if step > t.step {
		shares = t.draw(step)
	}
	t.ahead = prepared{step: step, batch: batch, ok: true}
	if t.ahead.weight, t.ahead.err = t.objective.Prepare(ctx, step, shares[batch]); t.ahead.err == nil {
		t.ahead.err = t.objective.Stage()
	}
}

// micro adds the gradients of a micro-batch.
func (t *Trainer) micro(part int, norm [terms]float64, ready func(int), lap func(monitor.Phase)) error {
	t.tape.Reset(tape.Options{Grad: true, Seed: t.seed, Step: uint32(t.step)})
	if err := t.objective.Forward(t.tape, part, norm, lap); err != nil {
		return err
	}
	lap(monitor.PhaseForward)
	if err := t.model.Backward(t.tape, ready); err != nil {
		return err
	}
	lap(monitor.PhaseBackward)
	return nil
}

// State copies what a checkpoint needs.
func (t *Trainer) State() (State, error) {
	s, err := t.opt.State()
	s.Step = t.step
	return State{TrainState: s, Layout: t.Layout()}, err
}

// Restore continues from a checkpoint.
func (t *Trainer) Restore(s State) error {
	t.step = s.Step
	s.TrainState.Step *= t.objective.Batches() // the optimizer counts updates
	return t.opt.Restore(s.TrainState)
}

// Layout identifies the trained parameters and their order.
func (t *Trainer) Layout() string {
	h := sha256.New()
	for _, p := range t.model.Params() {
		if p.Trainable {
			fmt.Fprintln(h, p.Name, p.Value.Rows, p.Value.Cols)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
