// Package plan estimates how much memory work on a model takes, by doing it on
// a device that only counts, and does the same work on a real device, to see
// whether that was right.
package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
)

// Options describe work.
// Sizes count what each sequence of the batch has; all are alike.
type Options struct {
	Load   model.LoadOptions
	Device dry.Options // that it is estimated for
	LoRA   model.LoRAConfig
	Batch  int // sequences of a pass
	Tokens int // of a sequence, those of its image included
	Answer int // of them those that have a loss
	Images int // of a sequence
	Side   int // of an image in pixels, for towers that take any size
	New    int // tokens generated

	Training Training // whose steps are among the work
}

// Training begins to train a model: what choose makes trainable, beside a copy of the
// model as it was where all weights are and the method needs one. Which passes a step
// takes is the method's to know.
type Training func(ctx context.Context, m *model.Model, full bool, choose func() error) (Trained, error)

// Trained is a model in training.
type Trained interface {
	// Step trains on sequences, of which the last tokens, so many as answer says, have a
	// loss, and waits for the device.
	Step(ctx context.Context, seqs []model.Sequence, answer int) error
	// Close frees all but the model.
	Close()
}

// Need is the memory of one step of work, in bytes.
// Activations is what is left of Total, so that the three parts add up to it.
type Need struct {
	Step        string `json:"step"`
	Weights     int64  `json:"weights"`     // that are copied to memory
	Mapped      int64  `json:"mapped"`      // that stay in the file; the system can drop and read them again
	Trained     int64  `json:"trained"`     // trained values, their gradients and moments
	Activations int64  `json:"activations"` // of the passes, the batch and the cache
	Total       int64  `json:"total"`       // the most that is allocated at once; without Mapped
	Written     int64  `json:"written"`     // of it what was written to; the rest is only reserved on a CPU
	Parameters  int    `json:"parameters"`  // trained

	ByPurpose backend.MemoryUse `json:"-"` // of Total
}

// A step is work on a loaded model.
var steps = []struct {
	name string
	run  func(ctx context.Context, w *work) error
}{
	{"load", func(context.Context, *work) error { return nil }},
	{"forward", func(_ context.Context, w *work) error { return w.forward() }},
	{LoRAStep, func(ctx context.Context, w *work) error { return w.step(ctx, false, false) }},
	{LoRAStep + Recompute, func(ctx context.Context, w *work) error { return w.step(ctx, false, true) }},
	{FullStep, func(ctx context.Context, w *work) error { return w.step(ctx, true, false) }},
	{FullStep + Recompute, func(ctx context.Context, w *work) error { return w.step(ctx, true, true) }},
	{"generate", func(ctx context.Context, w *work) error { return w.generate(ctx) }},
}

// Steps of work by their names: of training an adapter or all weights, followed by
// Recompute where activations are computed again.
const (
	LoRAStep  = "lora step"
	FullStep  = "full step"
	Recompute = ", recompute"
)

// Names are those of all steps.
func Names() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

// Estimate tells the memory of the steps of work on the model of a folder, or of
// those that are named: loading, a forward pass with all logits, a step of
// training an adapter and all weights, each without and with recomputation, and
// generation. Nothing is read but headers.
// An error is one that the step itself would end with, such as a batch too long for the model.
func Estimate(ctx context.Context, dir *modeldir.Dir, o Options, names ...string) ([]Need, error) {
	var out []Need
	for _, s := range steps {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		be, counts := dry.New(o.Device)
		w := &work{be: be, o: o, count: func() backend.MemoryUse { return counts.Memory() }}
		if err := w.do(ctx, dir, s.run); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		n := Need{
			Step: s.name, Weights: w.weights, Mapped: counts.Mapped(), Trained: w.trained,
			Total: counts.Most(), Written: counts.Written(), Parameters: w.parameters, ByPurpose: counts.Peak(),
		}
		n.Activations = n.Total - n.Weights - n.Trained
		out = append(out, n)
	}
	return out, nil
}

// Do takes one of the steps on a device.
func Do(ctx context.Context, be backend.Backend, dir *modeldir.Dir, o Options, name string) error {
	for _, s := range steps {
		if s.name == name {
			w := &work{be: be, o: o}
			return w.do(ctx, dir, s.run)
		}
	}
	return fmt.Errorf("step %q is none of %s", name, strings.Join(Names(), "; "))
}
