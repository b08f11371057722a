package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
)

// NotFiniteError says that the model's logits for a prompt are NaN or infinite:
// an answer or a score made of them would look like one of a model that knows
// nothing.
type NotFiniteError struct {
	Prompt int    // index among the prompts of the call
	Cause  string // what WhyNotFinite found
}

// Error leaves out the prompt, which callers know by a better name.
func (e *NotFiniteError) Error() string { return e.Cause }

// notFinite is the error for the logits of a prompt.
func (m *Model) notFinite(ctx context.Context, prompt int) error {
	why, err := m.WhyNotFinite(ctx, false)
	if err != nil {
		return err
	}
	return &NotFiniteError{prompt, why}
}

// numbered is an error of a call with several prompts that names the prompt.
func numbered(err error) error {
	var nf *NotFiniteError
	if errors.As(err, &nf) {
		return fmt.Errorf("prompt %d: %w", nf.Prompt, err)
	}
	return err
}

// WhyNotFinite says why the model computes NaN or infinite values, after it
// did: it looks through all weights, the adapter's included, for the first that
// holds such a value. When updated says that a training step was taken since,
// which spreads NaN over all that is trained, those are looked at in the files
// they came from.
func (m *Model) WhyNotFinite(ctx context.Context, updated bool) (string, error) {
	const what = "the model's logits are not finite (NaN/Inf): "
	var first string
	tensors := 0
	for _, w := range m.weights {
		n, err := m.countNotFinite(ctx, w, updated && w.Trainable)
		if err != nil {
			return "", err
		}
		if n == 0 {
			continue
		}
		if tensors++; tensors == 1 {
			first = fmt.Sprintf("tensor %q, %d of %d values", w.Name, n, w.Value.Len())
		}
	}
	switch {
	case tensors == 0:
		return what + "its weights are finite, so its activations overflow; take a checkpoint from before it diverged", nil
	case tensors > 1:
		first += fmt.Sprintf("; %d tensors in all", tensors)
	}
	return what + "its weights hold NaN or Inf (" + first + "); take a checkpoint from before it diverged, or merge again in a wider type", nil
}

// countNotFinite counts the values of a weight that are NaN or infinite, on the
// device or in the file it came from.
func (m *Model) countNotFinite(ctx context.Context, w *weight, stored bool) (int, error) {
	if stored {
		if w.file == "" || m.source == nil {
			return 0, nil
		}
		info, _ := m.source.files.Info(w.file)
		raw, err := m.source.files.Raw(w.file)
		return hf.NotFinite(raw, info.DType), err
	}
	var host []float32
	count := 0
	for from := 0; from < w.Value.Len(); from += pieceElements {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(pieceElements, w.Value.Len()-from)
		host = slices.Grow(host[:0], n)[:n]
		if err := m.be.Download(host, w.stretch(from, n)); err != nil {
			return 0, err
		}
		count += notFinite(host)
	}
	return count, nil
}

// notFinite counts what is NaN or infinite.
func notFinite(x []float32) int {
	n := 0
	for _, v := range x {
		if !backend.Finite(v) {
			n++
		}
	}
	return n
}
