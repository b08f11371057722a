// Package tape is reverse-mode automatic differentiation over
// backend.Backend.
//
// A Tape runs operations at once and, in gradient mode, records a node for
// each. Nodes, values and gradient slots live in slabs that are reused from
// step to step, and tensors come from arenas that the tape owns, so a step in
// steady state allocates nothing.
//
// Gradients follow what the residual stream of a transformer needs: the
// gradient of x aliases the gradient of x+f(x) and contributions are added in
// place. A buffer shared by two gradients is copied before it is written.
//
// Begin with Linear (linear.go) for an operation and its gradient, and with run
// (grad.go) for the way back. pool.go, values.go and record.go keep what a Tape
// consists of, each with what must always hold.
//
// Shapes that do not fit and lost devices are reported as the backend reports
// them: the first failure sticks and the next Download or Sync returns it.
package tape

import (
	"vgid/model/backend"
)

// Var is a value on a tape: a matrix of activations. The zero Var is none.
type Var int32

// Options start a step.
type Options struct {
	// Grad records what Backward needs. Without it values can be released
	// early with Mark and Release.
	Grad bool
	// Seed and Step key the random streams of dropout, which is active in
	// steps started with Grad, in unrecorded parts of them too.
	Seed uint64
	Step uint32
}

// Tape runs operations and remembers them: what it takes of the device (memory),
// what is computed (values), and how (recorder). An operation asks whether
// anything trained is behind its inputs; only then is it recorded, and what its
// backward pass reads is marked as saved. It is used by one goroutine at a time.
type Tape struct {
	values
	recorder
}

// For makes a tape whose activations have the element type the device chose.
func For(be backend.Backend) *Tape { return New(be, be.Traits().Activations) }

// New makes a tape whose activations have element type dt.
func New(be backend.Backend, dt backend.DType) *Tape {
	t := &Tape{values: values{memory: newMemory(be, dt)}}
	t.Reset(Options{})
	return t
}

// Reset forgets everything recorded, takes all tensors back and starts a step.
func (t *Tape) Reset(o Options) {
	t.start(o)
	t.clear()
	t.takeBack()
}

// Close frees the tape's memory.
func (t *Tape) Close() {
	t.Reset(Options{})
	t.free()
}

// Input puts a tensor of the caller's on the tape. With needs set a gradient
// is accumulated for it.
func (t *Tape) Input(x backend.Tensor, needs bool) Var {
	return t.push(value{data: x, needs: needs && t.grad})
}

// Mark is a point to Release back to.
type Mark int

// Mark remembers the values that exist now.
func (t *Tape) Mark() Mark { return Mark(len(t.vals)) }

// Release takes back every value made since the mark but keep, which it
// returns under its new number. While recording it takes nothing back:
// Backward needs all.
func (t *Tape) Release(m Mark, keep Var) Var {
	if t.grad {
		return keep
	}
	if int(keep) < int(m) {
		t.truncate(int(m))
		return keep
	}
	kept := t.vals[keep]
	t.vals[keep].own, t.vals[keep].grad = false, 0
	t.truncate(int(m))
	return t.push(kept)
}

// needs reports whether an operation on v has to be recorded for the gradient of v.
func (t *Tape) needs(v Var) bool { return t.grad && v != 0 && t.vals[v].needs }
