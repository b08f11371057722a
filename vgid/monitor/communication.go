package monitor

import "time"

// Communication is what the workers had to do with each other in a step, as one of them
// saw it.
type Communication struct {
	Bytes int64         // of gradients that were added up, and of parameters handed around where that is sharded
	Bus   float64       // bytes that every worker has to send and to receive for that at least
	Took  time.Duration // in which those operations ran, beside the backward pass or not
	// By rank: how long operations waited for its frames; and how long it took, until all
	// gradients were there, for its own part of the step: the slowest keeps all waiting.
	Waited, Worked []time.Duration
}

// Add adds an operation in which every worker has to send and to receive part of so many
// bytes.
func (c *Communication) Add(bytes int64, part float64, took time.Duration) {
	c.Bytes += bytes
	c.Bus += part * float64(bytes)
	c.Took += took
}

// Bandwidth is the bus bandwidth: bytes a second of every worker's link, whatever the
// number of workers is; 0 where nothing travelled. Of an all-reduce of S bytes among n it
// is S·2(n-1)/n over its time, as nccl-tests and others have it.
func (c *Communication) Bandwidth() float64 {
	if c.Took <= 0 {
		return 0
	}
	return c.Bus / c.Took.Seconds()
}

// Whole is the time of the step.
func (s *Step) Whole() (d time.Duration) {
	for _, p := range s.Phases {
		d += p
	}
	return d
}

// Exposed is the time in which the worker did nothing but wait for others: what of the
// communication no work hides.
func (s *Step) Exposed() time.Duration { return s.Phases[PhaseComm] }

// ExposedShare is Exposed as a share of the step, in [0, 1].
func (s *Step) ExposedShare() float64 {
	if whole := s.Whole(); whole > 0 {
		return float64(s.Exposed()) / float64(whole)
	}
	return 0
}
