package run

import (
	"time"

	"vgid/vgid/monitor"
	"vgid/vgid/train"
)

// Timing is how long one step of a stage took, as rank 0 saw it; times are in seconds.
//
// It has a file beside the history, since no two runs take the same time: files that are
// compared hold no times.
type Timing struct {
	Step    int     `json:"step"`
	Seconds float64 `json:"seconds"` // of the step
	// Phases add up to Seconds: data, teacher, student_forward, backward, communication,
	// optimizer.
	Phases map[string]float64 `json:"phases"`
	// Exposed is the communication that no work hides: this rank did nothing but wait for
	// others. It is the phase communication; Share is its part of Seconds, in [0, 1].
	Exposed float64 `json:"exposed"`
	Share   float64 `json:"exposed_share"`
	// Bytes of gradients that were added up, and of parameters that were handed around
	// where their update is sharded; BusSeconds is how long those operations ran, beside
	// the backward pass or not, and BusBandwidth the bytes a second of every worker's link:
	// of S bytes among n workers S·2(n-1)/n, (n-1)/n each for gradients and for parameters
	// where sharded, over BusSeconds.
	Bytes        int64   `json:"bytes"`
	BusSeconds   float64 `json:"bus_seconds"`
	BusBandwidth float64 `json:"bus_bandwidth"`
	// WaitedFor is, by rank, how long this rank's operations waited for frames of that
	// one, which may itself have waited: in a ring, for the one before it.
	WaitedFor []float64 `json:"waited_for"`
	// Worked is, by rank, how long that one took for its own part of the step until all
	// gradients were there, without its waits: the slowest keeps all waiting.
	Worked []float64 `json:"worked"`
}

func timingOf(r train.StepResult) Timing {
	s := &r.Phases
	t := Timing{
		Step: r.Step, Seconds: s.Whole().Seconds(), Phases: map[string]float64{},
		Exposed: s.Exposed().Seconds(), Share: s.ExposedShare(),
		Bytes: s.Comm.Bytes, BusSeconds: s.Comm.Took.Seconds(), BusBandwidth: s.Comm.Bandwidth(),
		WaitedFor: seconds(s.Comm.Waited), Worked: seconds(s.Comm.Worked),
	}
	for p, d := range s.Phases {
		t.Phases[monitor.Phase(p).String()] = d.Seconds()
	}
	return t
}

func seconds(times []time.Duration) []float64 {
	out := make([]float64, len(times))
	for i, d := range times {
		out[i] = d.Seconds()
	}
	return out
}
