package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// Schedule is one run: a world, its network, what its ranks do and what goes wrong. It
// is a function of the seed.
type Schedule struct {
	Seed    uint64
	Ranks   int
	Colors  int // communicators that are split off; 0: none
	Options collective.Options
	Conditions
	Steps  []Step
	Faults []*Fault
	stream stream
	spoil  func(*network) // breaks what a network promises, to test the checks
}

// Way is how ranks take a step.
type Way uint8

// Ways.
const (
	Plain    Way = iota // one call of all
	Beside              // the same, and a call in each communicator that was split off, at the same time
	Messages            // each sends two messages, and takes two in the other order
	Queued              // several calls at once, which are then waited for
	Twice               // an all-reduce of values whose order of addition shows, twice
	endWay
)

// Step is what all ranks do together.
type Step struct {
	Way  Way
	Job  calltest.Job
	Subs []calltest.Job // of each communicator that was split off
	Far  int            // of messages: how far they go
	Busy time.Duration  // ranks compute up to so long before it
}

func (s *Schedule) String() string {
	var faults []string
	for _, f := range s.Faults {
		faults = append(faults, f.String())
	}
	return fmt.Sprintf("seed %d: %d ranks on hosts %v, %d steps, algorithm %q, chunks of %d bytes, short up to %d, middle up to %d, %+v; %s",
		s.Seed, s.Ranks, s.Options.Hosts, len(s.Steps), s.Options.Algorithm, s.Options.ChunkBytes, s.Options.SmallBytes, s.Options.MiddleBytes, s.Conditions, strings.Join(faults, "; "))
}

// timeout is that of a call.
const timeout = 20 * time.Second

// Draw is the schedule of a seed.
func Draw(seed uint64) *Schedule {
	s := &Schedule{Seed: seed, stream: stream(mix(seed))}
	r := rand.New(rand.NewPCG(seed, uint64(ofSchedule)))
	// Small worlds find most, and large ones take long.
	s.Ranks = 2 + min(r.IntN(7), r.IntN(7))
	switch pick := r.IntN(400); {
	case pick == 0:
		s.Ranks = 33
	case pick < 3:
		s.Ranks = 16
	case pick < 8:
		s.Ranks = 9 + r.IntN(7)
	}
	s.Options = collective.Options{
		Job: "simulated", Epoch: 1, Timeout: timeout,
		ChunkBytes: []int{8, 64, 200, 1024, 0}[r.IntN(5)],
		SmallBytes: []int{-1, 64, 300, 0}[r.IntN(4)],
	}
	s.Options.MiddleBytes = []int{-1, 600, 0}[r.IntN(3)]
	if r.IntN(2) == 0 {
		s.Options.Algorithm = collective.Algorithms[r.IntN(len(collective.Algorithms))]
	}
	if r.IntN(3) == 0 {
		for range s.Ranks {
			s.Options.Hosts = append(s.Options.Hosts, r.IntN(1+s.Ranks/2))
		}
	}
	s.Conditions = conditions(r)
	if s.Ranks > 2 && r.IntN(3) == 0 {
		s.Colors = 1 + r.IntN(min(3, s.Ranks))
	}
	for range 1 + r.IntN(5) {
		s.Steps = append(s.Steps, s.step(r))
	}
	s.drawFaults(r)
	for _, f := range s.Faults {
		if f.inProgram() && f.Kind != OneMore {
			s.Steps[f.Step].Way = Plain // a call that all are in
		}
	}
	return s
}

func conditions(r *rand.Rand) Conditions {
	c := Conditions{Window: 1 + r.IntN(4), Streamed: r.IntN(3) == 0, Late: r.IntN(2) == 0, Lossy: r.IntN(3) == 0}
	switch r.IntN(3) {
	case 0: // a host
		c.Latency, c.Jitter = time.Microsecond, 20*time.Microsecond
	case 1: // a cluster
		c.Latency, c.Jitter, c.Bandwidth = 20*time.Microsecond, 500*time.Microsecond, 1e9
	case 2: // far away
		c.Latency, c.Jitter, c.Bandwidth = 5*time.Millisecond, 15*time.Millisecond, 1e6
	}
	return c
}

// step is a random one.
func (s *Schedule) step(r *rand.Rand) Step {
	st := Step{Way: []Way{Plain, Plain, Plain, Beside, Messages, Queued, Twice}[r.IntN(7)], Busy: within(r.Uint64(), 100*time.Millisecond)}
	if st.Way == Beside && s.Colors == 0 {
		st.Way = Plain
	}
	st.Job = s.job(r, s.Ranks)
	switch st.Way {
	case Beside:
		for c := range s.Colors {
			st.Subs = append(st.Subs, s.job(r, s.sizeOf(c)))
		}
	case Messages:
		st.Far = r.IntN(s.Ranks)
	}
	return st
}

// calls is how many steps a rank takes, with the split.
func (s *Schedule) calls() int {
	if s.Colors > 0 {
		return len(s.Steps) + 1
	}
	return len(s.Steps)
}

// sizeOf is how many ranks have a color: that is their number modulo Colors.
func (s *Schedule) sizeOf(color int) int { return (s.Ranks - color + s.Colors - 1) / s.Colors }

// job is a random call of n ranks. Its lengths often lie at a border: of what is
// short, and of chunks.
func (s *Schedule) job(r *rand.Rand, n int) calltest.Job {
	longest := 600
	if s.Options.ChunkBytes == 8 { // a frame for each element
		longest = 24
	}
	j := calltest.Draw(func(n int, _ string) int { return r.IntN(n) }, n, longest)
	border := s.Options.ChunkBytes
	if r.IntN(2) == 0 {
		border = s.Options.SmallBytes
	}
	at := border*(1+r.IntN(3))/j.DType.Size() + r.IntN(3) - 1
	switch j.Call {
	case frame.CallGather, frame.CallScatter, frame.CallAllToAll:
		at /= n
	default:
		if r.IntN(2) == 0 { // that is where the part of each rank ends
			at *= n
		}
	}
	if border > 0 && at >= 0 && at <= longest && r.IntN(2) == 0 {
		j.Count = at
	}
	return j
}

// kinds are how often each is drawn.
var kinds = map[Kind]int{
	Nothing: 20, Stall: 8, Pause: 8, Slow: 5, Late: 5, Kill: 10, Freeze: 8, Thaw: 4, Cut: 7, CutOneWay: 6, CutOff: 5, Never: 3,
	OtherCall: 8, EndsEarly: 4, OneMore: 3,
}

// drawFaults draws one fault, or two.
func (s *Schedule) drawFaults(r *rand.Rand) {
	s.Faults = []*Fault{s.fault(r)}
	if r.IntN(12) == 0 {
		s.Faults = append(s.Faults, s.fault(r))
	}
}

// begin is when faults begin to strike: each rank has heard its neighbours by then,
// whose first sign is waited for longer than others.
const begin = 300 * time.Millisecond

func (s *Schedule) fault(r *rand.Rand) *Fault {
	total := 0
	for k := range endKind {
		total += kinds[k]
	}
	pick, f := r.IntN(total), &Fault{}
	for pick -= kinds[f.Kind]; pick >= 0; pick -= kinds[f.Kind] {
		f.Kind++
	}
	f.Rank, f.Step = r.IntN(s.Ranks), r.IntN(len(s.Steps))
	links := schedule.Links(f.Rank, s.Ranks)
	f.Peer = links[r.IntN(len(links))]
	f.At = begin + within(r.Uint64(), 30*time.Millisecond+time.Duration(len(s.Steps))*50*time.Millisecond) // while there are steps to come
	second := func(lo, hi float64) time.Duration {
		return time.Duration((lo + r.Float64()*(hi-lo)) * float64(time.Second))
	}
	switch f.Kind {
	case Stall, Pause:
		f.For = second(0.01, 3)
	case Slow:
		f.For = second(0, 0.003)
	case Late:
		f.For = second(4, 9)
	case Thaw:
		f.For = second(5.5, 9)
	case Never:
		f.For = 2 * timeout
	}
	if f.Kind == Kill || f.Kind == Freeze || f.Kind == Thaw {
		if f.At = begin; r.IntN(4) > 0 {
			f.Nth = 1 + r.IntN(40)
		}
	}
	return f
}
