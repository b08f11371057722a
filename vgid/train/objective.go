package train

import (
	"context"

	"vgid/model"
	"vgid/model/tape"
	"vgid/vgid/monitor"
)

// Objective is what a stage trains for: which samples a step draws, and the loss
// that they have. It holds no state of a step: that is in its batches. So its
// methods may be called in any order, for any step, but by one goroutine at a time.
//
// What must always hold, of any objective:
//   - Draw, Length and Terms depend on their arguments and the configuration alone,
//     so that all workers agree on a step without a word, and a resumed run draws
//     what it would have drawn.
//   - Prepare leaves the device alone. The trainer calls it while the device works
//     off the batch before; what needs the device to itself a batch does when it is
//     asked for its Weights.
//   - Sharding changes no sum: over all workers, the batches of a step have the
//     weights and the gradient of the one batch that a single worker would have.
type Objective interface {
	// Terms are the parts of the loss, in the order in which batches speak of them.
	Terms() []Term
	// Draw returns a worker's share of each batch of a step: the same number of
	// batches in every step. Each is followed by an update of the weights.
	Draw(step int, s Shard) [][]Sample
	// Prepare makes a batch of the samples of a share, which may be none.
	Prepare(ctx context.Context, step int, share []Sample) (Batch, error)
	// Length is how many tokens the passes over a sample read, all models together:
	// by it the step is found that takes the most memory.
	Length(step int, s Sample) (int, error)
	// Close frees the objective's device memory, and its teacher's, not the
	// student's. Its batches have been released.
	Close()
}

// Term is a part of a loss: the loss is Σ Coef·(mean over the term's weight).
type Term struct {
	Name string // as the history and the summary call it
	Coef float64
}

// The names of terms that reports know.
const (
	LossTerm   = "loss"   // of supervised stages
	ForgetTerm = "forget" // on the forget set
	RetainTerm = "retain" // on the retain set
)

// Batch is one worker's share of a batch on its way to a gradient. The trainer holds
// two: the present one, and the next, which it prepares and uploads while the device
// works on the present one.
//
// What must always hold:
//   - Until Weights is called a batch holds no device memory but what Upload took:
//     that of one pass's input.
//   - Weights comes before Forward, which asks for all workers' weights (Pass.Norm), and
//     Forward of every part before Losses. Release ends a batch at any point.
//   - Forward waits for nothing but what its own weights depend on; Losses is where
//     the host waits for the device.
type Batch interface {
	// Weights is the total weight of the batch in each term, which the term's loss is
	// divided by once it is summed over all workers: of a mean over tokens, their
	// number. No pass is in flight when it is called, so that it may use the device.
	Weights(ctx context.Context) ([]float64, error)
	// Upload begins to copy what the first pass reads. It may be left out.
	Upload() error
	// Parts is how many micro-batches the batch is worked off in, at least one.
	Parts() int
	// Forward runs the passes of one of them and records the loss
	// Σ_term coef·norm·Σ w·l on the student's tape.
	Forward(p *Pass) error
	// Losses is Σ norm·w·l of each term over the parts that Forward was called for:
	// summed over all workers, the term's mean loss.
	Losses() ([]float64, error)
	// Tokens counts those of the student.
	Tokens() int
	// Release gives back what the batch holds.
	Release()
}

// Pass is one micro-batch on its way forward and back.
type Pass struct {
	Tape *tape.Tape // records the student
	Part int
	// Lap ends a phase of the step: the teacher's, say. The trainer ends the student's.
	Lap func(monitor.Phase)

	weight *total // of the batch
	held   []*model.Batch
}

// Norm is, of each term, 1/weight over all workers; 0 of a term without. The weights
// travel while the passes begin, so that it is best asked for behind them.
func (p *Pass) Norm() ([]float64, error) {
	p.Lap(monitor.PhaseForward)
	weight, err := p.weight.wait()
	if err != nil {
		return nil, err
	}
	p.Lap(monitor.PhaseComm)
	norm := make([]float64, len(weight))
	for i, w := range weight {
		if w > 0 {
			norm[i] = 1 / w
		}
	}
	return norm, nil
}

// Hold keeps a model's batch until the backward pass that reads it is queued.
func (p *Pass) Hold(b *model.Batch) { p.held = append(p.held, b) }

// end gives back what was held.
func (p *Pass) end() {
	for _, b := range p.held {
		b.Release()
	}
	p.held = nil
}
