package watch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vgid/collective/flight"
	"vgid/collective/frame"
	"vgid/collective/internal/chain"
)

// link says that one rank of the job waits for another.
type link struct {
	from, to int
	call     frame.Call
	comm     uint32 // and seq, of a call that all ranks of a communicator make
	seq      uint64
	began    time.Duration // when the wait began, and when it was last known to go on
	seen     time.Duration
	age      time.Duration // as the rank that waits has told
}

// isMessage reports whether the wait is for a message.
func (l link) isMessage() bool { return l.call.Is(frame.Tagged) }

func (l link) String() string {
	d := l.age.Round(time.Second / 10)
	if l.isMessage() {
		way := "from"
		if l.call == frame.CallSend {
			way = "to"
		}
		return fmt.Sprintf("rank %d in %v %s rank %d for %v", l.from, l.call, way, l.to, d)
	}
	return fmt.Sprintf("rank %d at %v #%d%s for %v", l.from, l.call, l.seq, ofComm(l.comm), d)
}

// scene is what is known of all ranks at a moment. It is a value without a lock or
// a clock.
//
// What must always hold: a rank waits for another only by news that is younger than
// the beginning of the wait, by a heartbeat, so that it cannot be of before the
// other came; and nothing counts that has lasted less than two.
type scene struct {
	all     []entry          // by rank
	members map[uint32][]int // of the communicators whose ranks are known
	beat    time.Duration
}

// linksOf lists whom a rank waits for.
func (s *scene) linksOf(a int) (out []link) {
	e := &s.all[a]
	if e.beat == 0 {
		return nil
	}
	for _, x := range e.expects {
		if x.Age >= 2*s.beat && x.Peer != a {
			out = append(out, link{from: a, to: x.Peer, call: x.Call, began: e.when - x.Age, seen: e.when, age: x.Age})
		}
	}
	for i := range e.in {
		if at := &e.in[i]; at.in() && at.age >= 2*s.beat {
			out = append(out, s.absent(a, at)...)
		}
	}
	return out
}

// absent are the waits for those that have not come to the call that a rank is in.
func (s *scene) absent(a int, at *standing) (out []link) {
	began := s.all[a].when - at.age
	look := func(b int, sure bool) {
		e := &s.all[b]
		other, in := e.of(at.comm)
		if b != a && e.beat > 0 && (in || sure) && other.at < at.at && e.when >= began+s.beat {
			out = append(out, link{from: a, to: b, call: at.call, comm: at.comm, seq: at.at.seq(), began: began, seen: e.when, age: at.age})
		}
	}
	if ranks, known := s.members[at.comm]; known {
		for _, b := range ranks {
			look(b, true) // one that has not made the communicator yet has not come
		}
		return out
	}
	for b := range s.all {
		look(b, false)
	}
	return out
}

// verdict is whom ranks wait for in the end.
type verdict struct {
	roots []int  // that wait for nobody themselves
	cycle []link // of ranks that wait for each other; nil if there are none
	links []link // that lead to the roots, from the rank that was asked for on
	// teller is the lowest rank that waits for the same: what there is to tell, it
	// tells.
	teller int
}

// follow finds out whom a rank waits for in the end.
func (s *scene) follow(from ...int) verdict {
	known := map[int][]link{}
	links := func(r int) []link {
		if _, ok := known[r]; !ok {
			known[r] = s.linksOf(r)
		}
		return known[r]
	}
	next := func(r int) (to []int) {
		for _, l := range links(r) {
			to = append(to, l.to)
		}
		return to
	}
	v := verdict{teller: -1}
	var cycle []int
	v.roots, cycle = chain.Find(from, next)
	for i, r := range cycle {
		to := cycle[(i+1)%len(cycle)]
		all := links(r)
		v.cycle = append(v.cycle, all[slices.IndexFunc(all, func(l link) bool { return l.to == to })])
	}
	if !atOnce(v.cycle) {
		v.cycle = nil
	}
	for _, r := range slices.Sorted(maps.Keys(known)) {
		v.links = append(v.links, known[r]...)
	}
	for r := range s.all {
		if len(links(r)) > 0 && s.sameEnd(r, next, v) {
			v.teller = r
			break
		}
	}
	return v
}

// sameEnd reports whether a rank waits for the end of a verdict.
func (s *scene) sameEnd(r int, next func(int) []int, v verdict) bool {
	roots, cycle := chain.Find([]int{r}, next)
	if v.cycle != nil {
		return slices.Contains(cycle, v.cycle[0].from)
	}
	return slices.ContainsFunc(roots, func(r int) bool { return slices.Contains(v.roots, r) })
}

// atOnce reports whether there was a moment at which all waits of a cycle went on:
// news of the ranks are of different times, and ranks that work with each other
// wait for each other in turn.
func atOnce(cycle []link) bool {
	var began, seen time.Duration
	for i, l := range cycle {
		if i == 0 {
			began, seen = l.began, l.seen
		}
		began, seen = max(began, l.began), min(seen, l.seen)
	}
	return began <= seen
}

// ofComm names a communicator other than that of the whole job.
func ofComm(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" of communicator %d", n)
}

// deadlock says of ranks that wait for each other that they do.
func deadlock(cycle []link) string {
	var who []int
	for _, l := range cycle {
		who = append(who, l.from)
	}
	slices.Sort(who)
	return fmt.Sprintf("%s wait for each other, so that none can go on: %s", flight.Ranks(who), listed(cycle))
}

// listed names links, the first of many.
func listed(links []link) string {
	var parts []string
	for i, l := range links {
		if i == mostLinks {
			parts = append(parts, fmt.Sprintf("and %d more", len(links)-i))
			break
		}
		parts = append(parts, l.String())
	}
	return strings.Join(parts, ", ")
}

const mostLinks = 8
