package job

import "time"

const (
	// LookEvery is the time between two looks at a process.
	LookEvery = 500 * time.Millisecond
	// StandFor is how long a process may stand still unless it is said otherwise. A
	// person who looks at it, or a scheduler that takes a breath, stops it for less.
	StandFor = 4 * time.Second
	// standAsked is the same for one that was asked to end, and cannot hear it.
	standAsked = time.Second
)

// Standstill is how long a process has been seen stopped. Only time in which
// it was looked at counts: where the agent stood still as well, as when a
// machine sleeps or a scheduler suspends a whole job, nothing is known.
type Standstill struct {
	seen    time.Time
	stopped time.Duration
}

// Look takes what a look at the process showed and gives how long it stands.
func (s *Standstill) Look(now time.Time, stopped bool) time.Duration {
	if !stopped {
		s.stopped = 0
	} else if !s.seen.IsZero() {
		s.stopped += min(max(now.Sub(s.seen), 0), 2*LookEvery)
	}
	s.seen = now
	return s.stopped
}
