package params

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// Flat holds everything trained in one buffer and its gradients in another,
// in the order in which the backward pass finishes them: the last layer first.
// A bucket of gradients is then a slice of it. Between groups of weights lie
// zeros that align them; both buffers have them in the same places, and no
// operation makes them anything else.
//
// A change of what is trained makes another Flat, and this one is void: an
// optimizer keeps the Flat that its moments belong to and compares. The nil Flat
// is that of a model of which nothing is trained.
// order, end and final have an entry for each weight; index is the place of a parameter in them.
type Flat struct {
	be            backend.Backend
	values, grads backend.Buffer
	order         []*Weight
	end           []int // element behind each weight
	index         map[*tape.Param]int
	final         []bool // which gradients are complete, during Backward
	n             int
}

const flatAlign = 16 // elements: a group starts on a cache line

func (f *Flat) free() {
	f.be.Free(f.values)
	f.be.Free(f.grads)
}

// Len is the number of elements: all trained parameters and the zeros that align
// them.
func (f *Flat) Len() int {
	if f == nil {
		return 0
	}
	return f.n
}

// Values are the trained parameters, [1, Len].
func (f *Flat) Values() backend.Tensor {
	if f == nil {
		return backend.Tensor{}
	}
	return backend.View(f.values, 0, 1, f.n)
}

// Grads are their gradients, [1, Len], in the order in which Backward finishes
// them.
func (f *Flat) Grads() backend.Tensor {
	if f == nil {
		return backend.Tensor{}
	}
	return backend.View(f.grads, 0, 1, f.n)
}

// Each yields the weights in order, each with the element behind it.
func (f *Flat) Each(yield func(w *Weight, end int) bool) {
	for i, w := range f.order {
		if !yield(w, f.end[i]) {
			return
		}
	}
}

// Backward runs the tape backwards. ready, when given, is called with a
// growing n whenever the elements [0, n) of Grads have received their last
// contribution, and at the end with Len; between calls the backward pass
// goes on queueing work behind them.
func (f *Flat) Backward(t *tape.Tape, ready func(n int)) error {
	if ready == nil || f == nil {
		return t.Backward()
	}
	final := f.final
	clear(final)
	next := 0
	// A parameter may be finished before those ahead of it in the buffer, which then hold it back.
	t.OnGrad = func(p *tape.Param) {
		i, mine := f.index[p]
		if !mine {
			return
		}
		final[i] = true
		from := next
		for next < len(final) && final[next] {
			next++
		}
		if next > from && next < len(final) {
			ready(f.end[next-1])
		}
	}
	err := t.Backward()
	t.OnGrad = nil
	if err != nil {
		return err
	}
	ready(f.n) // parameters that this batch did not touch are final too
	return nil
}
