package params

import (
	"context"
	"fmt"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
)

// WhyNotFinite says why the model computes NaN or infinite values, after it
// did: it looks through all weights, the adapter's included, for the first that
// holds such a value. When updated says that a training step was taken since,
// which spreads NaN over all that is trained, those are looked at in the files
// they came from.
// The result is a line for the user; an error is one of reading.
func (s *Set) WhyNotFinite(ctx context.Context, updated bool) (string, error) {
	const what = "the model's logits are not finite (NaN/Inf): "
	var first string
	tensors := 0
	count := func(w *Weight) (int, error) {
		if updated && w.Trainable {
			return s.source.notFinite(w)
		}
		return notFiniteOn(ctx, s.be, w)
	}
	for _, w := range s.Weights {
		n, err := count(w)
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

// notFinite counts the values of a weight that are NaN or infinite in the file it
// came from.
func (s *source) notFinite(w *Weight) (int, error) {
	if s == nil || w.file == "" {
		return 0, nil
	}
	info, _ := s.files.Info(w.file)
	raw, err := s.files.Raw(w.file)
	return hf.NotFinite(raw, info.DType), err
}

// notFiniteOn counts them on the device.
func notFiniteOn(ctx context.Context, be backend.Backend, w *Weight) (int, error) {
	var host []float32
	count := 0
	for from := 0; from < w.Value.Len(); from += pieceElements {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(pieceElements, w.Value.Len()-from)
		host = slices.Grow(host[:0], n)[:n]
		if err := be.Download(host, w.stretch(from, n)); err != nil {
			return 0, err
		}
		count += NotFinite(host)
	}
	return count, nil
}

// NotFinite counts what is NaN or infinite.
func NotFinite(x []float32) int {
	n := 0
	for _, v := range x {
		if !backend.Finite(v) {
			n++
		}
	}
	return n
}
