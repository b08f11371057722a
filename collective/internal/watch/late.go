package watch

import (
	"fmt"
	"slices"
	"time"

	"vgid/collective/flight"
	"vgid/collective/frame"
)

// sighting is the latest that is known of a rank's position in a communicator.
type sighting struct {
	standing
	known     bool
	when      time.Duration // since start
	elsewhere bool          // it is in a call of another communicator
}

// holders lists the ranks that hold up call seq, which rank self is in since
// the time since: of those known to be behind, the ones furthest behind, for
// the others may only be waiting for them, and of those the ones that wait in no
// other communicator. waiting are those known to be in
// the call. What was heard before the call, or within a heartbeat of its
// beginning, says nothing: the peer may have come since.
func holders(seq uint64, self int, since, heartbeat time.Duration, peers []sighting) (late, waiting []int) {
	least := inCall(seq)
	for r, p := range peers {
		if r == self {
			waiting = append(waiting, r)
			continue
		}
		if !p.known || p.when < since+heartbeat {
			continue
		}
		switch {
		case p.at >= inCall(seq):
			waiting = append(waiting, r)
		case p.at < least:
			late, least = []int{r}, p.at
		case p.at == least:
			late = append(late, r)
		}
	}
	if idle := slices.DeleteFunc(slices.Clone(late), func(r int) bool { return peers[r].elsewhere }); len(idle) > 0 {
		late = idle
	}
	return late, waiting
}

// Late says that a call, or a message, waits for ranks that are alive but have not
// come to it, or for ranks that keep these: others wait for them in the end, and
// they for nobody, or only for each other.
type Late struct {
	Call    frame.Header // of a message, its kind alone
	Ranks   []int        // that are late, or wait for each other
	Waiting []int        // that are known to wait in the call
	For     time.Duration
	Size    int // ranks of the communicator

	at    standing // of the late ranks
	blame verdict  // where messages, or other communicators, come into it
}

// Deadlock reports whether the ranks wait for each other, so that none can go on.
func (l Late) Deadlock() bool { return l.blame.cycle != nil }

func (l Late) String() string {
	if l.Deadlock() {
		return deadlock(l.blame.cycle)
	}
	be := "is"
	if len(l.Ranks) > 1 {
		be = "are"
	}
	where := fmt.Sprintf("at %v #%d", l.at.call, l.at.at.seq())
	if l.at.at%2 != 0 {
		where = fmt.Sprintf("past %v #%d", l.at.call, l.at.at.seq())
	}
	if l.at.at.seq() == 0 {
		where = "before its first call"
	}
	if l.blame.links != nil {
		return fmt.Sprintf("%s %s %s, and waited for: %s", flight.Ranks(l.Ranks), be, where, listed(l.blame.links))
	}
	others := flight.Ranks(l.Waiting)
	if len(l.Ranks)+len(l.Waiting) == l.Size && l.Size > 2 {
		others = "all others"
	}
	comm := ""
	if l.at.comm != 0 {
		comm = fmt.Sprintf(", communicator %d", l.at.comm)
	}
	return fmt.Sprintf("%s %s %s, %s at %v #%d of epoch %d%s, for %v", flight.Ranks(l.Ranks), be, where,
		others, l.Call.Call, l.Call.Seq, l.Call.Epoch, comm, l.For.Round(time.Second/10))
}

// alarm says when to tell of a call that waits: after a while, then each time
// when it has lasted twice as long.
type alarm struct {
	after time.Duration
	seq   uint64
	next  time.Duration
}

func (a *alarm) due(seq uint64, waited time.Duration) bool {
	if a.seq != seq {
		a.seq, a.next = seq, a.after
	}
	if waited < a.next {
		return false
	}
	for a.next <= waited {
		a.next *= 2
	}
	return true
}

// Slow says that one rank keeps the others waiting, in many calls or in one:
// they spend their time in operations, it does not.
type Slow struct {
	Rank  int
	Share float64       // of the time that every other rank spent in operations, at least
	In    time.Duration // this time
}

func (s Slow) String() string {
	return fmt.Sprintf("rank %d keeps the others waiting: of the last %v each of them spent at least %.0f %% in operations with it; it is slower, or busy with something else",
		s.Rank, s.In.Round(time.Second), 100*s.Share)
}

// shares keeps how much of their time ranks spend in calls, from one look to
// the next.
type shares struct {
	window time.Duration
	from   []entry
	alarm  alarm
	slow   int // the rank found at the last looks, and for how long; -1: none
	lasted time.Duration
}

// look compares what is known now with what was known at the last look, at
// least a window ago. It reports a rank that spent little of its time in calls
// while all the others spent most of theirs there.
func (s *shares) look(now []entry) (Slow, bool) {
	if s.from == nil {
		s.from = now
		return Slow{}, false
	}
	least, others, in := -1, 1.0, time.Duration(0)
	var lowest float64
	for r := range now {
		d := now[r].when - s.from[r].when
		if s.from[r].beat == 0 || d < s.window {
			if now[r].beat == 0 || s.from[r].beat == 0 {
				s.from = now // not all were heard
			}
			return Slow{}, false
		}
		in = max(in, d)
		share := float64(now[r].inCalls-s.from[r].inCalls) / float64(d)
		switch {
		case least < 0:
			least, lowest = r, share
		case share < lowest:
			least, lowest, others = r, share, min(others, lowest)
		default:
			others = min(others, share)
		}
	}
	s.from = now
	const little, much = 0.25, 0.6
	if len(now) < 2 || lowest > little || others < much {
		s.slow, s.lasted = -1, 0
		return Slow{}, false
	}
	if s.slow != least {
		s.slow, s.lasted = least, 0
		s.alarm = alarm{after: s.window, seq: s.alarm.seq + 1, next: s.window}
	}
	s.lasted += in
	if !s.alarm.due(s.alarm.seq, s.lasted) {
		return Slow{}, false
	}
	return Slow{Rank: least, Share: others, In: in}, true
}
