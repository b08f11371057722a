package nn

import (
	"math"

	"vgid/model/tape"
)

// Pass is a tape and how layers run on it.
type Pass struct {
	*tape.Tape
	// Recompute drops the activations inside layers after the forward pass and
	// computes them again in the backward pass.
	Recompute bool
}

// Layer runs a layer on the residual stream x.
func (p Pass) Layer(x tape.Var, s tape.Segment) tape.Var {
	if p.Recompute {
		return p.Checkpoint(x, s)
	}
	return s.Forward(p.Tape, x)
}

// InvSqrt is 1/√n: the scale of attention scores, and the deviation of initial
// weights.
func InvSqrt(n int) float64 { return 1 / math.Sqrt(float64(n)) }

// Flag is a condition as a symbol of tags.
func Flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
