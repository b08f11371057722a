package optim

import (
	"fmt"
	"math"
)

// Schedule gives the learning rate of every step: a linear rise over Warmup
// steps, then constant, or falling to Final of the peak at step Steps.
type Schedule struct {
	Kind   string  // "constant", "linear" or "cosine"
	Peak   float64 // largest learning rate
	Warmup int     // steps
	Steps  int     // of the whole run
	Final  float64 // fraction of Peak that is left at the end, in [0, 1]
}

// Validate checks the fields.
func (s Schedule) Validate() error {
	switch {
	case s.Kind != "constant" && s.Kind != "linear" && s.Kind != "cosine":
		return fmt.Errorf("schedule %q is unknown; use constant, linear or cosine", s.Kind)
	case s.Peak < 0 || math.IsNaN(s.Peak) || math.IsInf(s.Peak, 0):
		return fmt.Errorf("learning rate %g must be a number that is not negative", s.Peak)
	case s.Warmup < 0:
		return fmt.Errorf("warm-up of %d steps must not be negative", s.Warmup)
	case !(s.Final >= 0 && s.Final <= 1):
		return fmt.Errorf("final fraction %g is not in [0, 1]", s.Final)
	}
	return nil
}

// At is the learning rate of a step, counted from 0. Step Warmup-1 is the
// first with the full rate, step Steps-1 the last; the end value belongs to
// step Steps.
func (s Schedule) At(step int) float64 {
	if step < s.Warmup {
		return s.Peak * float64(step+1) / float64(s.Warmup)
	}
	progress := 1.0
	if n := s.Steps - s.Warmup; n > 0 {
		progress = min(1, float64(step-s.Warmup)/float64(n))
	}
	left := 1.0
	switch s.Kind {
	case "linear":
		left = 1 - progress
	case "cosine":
		left = (1 + math.Cos(math.Pi*progress)) / 2
	}
	return s.Peak * (s.Final + (1-s.Final)*left)
}
