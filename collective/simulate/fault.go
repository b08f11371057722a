package simulate

import (
	"fmt"
	"time"
)

// Kind is what goes wrong in a schedule.
type Kind uint8

// Kinds. The first ones are borne: nobody may fail by them.
const (
	Nothing Kind = iota
	Stall        // a link carries nothing for less than Options.Silence, and then all of it
	Pause        // a rank stands still for less than Options.Silence
	Slow         // a rank takes longer for everything
	Late         // a rank comes to a call later than the others would like, but in time

	Kill      // a rank's process ends
	Freeze    // a rank stands still for good
	Thaw      // a rank stands still for longer than Options.Silence
	Cut       // a link carries nothing any more
	CutOneWay // a link carries nothing any more one way
	CutOff    // all links of a rank carry nothing any more
	Never     // a rank does not come to a call within Options.Timeout

	OtherCall // a rank makes another call than the others
	EndsEarly // a rank ends before the others
	OneMore   // a rank makes a call more than the others
	endKind
)

func (k Kind) String() string {
	return [...]string{"nothing", "stall", "pause", "slow rank", "late rank", "kill", "freeze", "freeze and thaw", "cut", "cut one way",
		"cut off", "rank that never comes", "other call", "early end", "one call more"}[k]
}

// Borne reports whether nobody may fail by it.
func (k Kind) Borne() bool { return k <= Late }

// Fault is one thing that goes wrong.
type Fault struct {
	Kind Kind
	Rank int
	Peer int // of a link
	// At is when, counted from the beginning; if Nth is not 0, it is at the nth time
	// from then on that the rank asks the network for something.
	At   time.Duration
	Nth  int
	For  time.Duration // how long, if it ends
	Step int           // of what programs do: the step

	struck   bool
	struckAt time.Duration
}

func (f *Fault) String() string {
	switch s := fmt.Sprintf("%v: rank %d", f.Kind, f.Rank); {
	case f.Kind == Nothing:
		return "nothing"
	case f.Kind == Stall, f.Kind == Cut, f.Kind == CutOneWay:
		return fmt.Sprintf("%s → %d at %v for %v", s, f.Peer, f.At, f.For)
	case f.inProgram():
		return fmt.Sprintf("%s at step %d for %v", s, f.Step, f.For)
	default:
		return fmt.Sprintf("%s at %v, request %d from then, for %v", s, f.At, f.Nth, f.For)
	}
}

// inProgram reports whether it is the program that does it, not the network.
func (f *Fault) inProgram() bool { return f.Kind == Late || f.Kind == Never || f.Kind >= OtherCall }

// arm has the network do its part of a fault when it is due.
func (w *network) arm(f *Fault) {
	if f.inProgram() || f.Kind == Nothing {
		return
	}
	if f.Kind == Slow {
		f.struck = true
		w.ends[f.Rank].slow = f.For
		return
	}
	if f.Nth == 0 {
		w.at(f.At, func() { w.strike(f) })
		return
	}
	e, seen, before := w.ends[f.Rank], 0, w.ends[f.Rank].onAsk
	e.onAsk = func() {
		if before != nil {
			before()
		}
		if w.now() < f.At {
			return
		}
		if seen++; seen == f.Nth {
			w.at(w.now(), func() { w.strike(f) })
		}
	}
}

// strike does it.
func (w *network) strike(f *Fault) {
	e := w.ends[f.Rank]
	if e.state == closed {
		return
	}
	f.struck, f.struckAt = true, w.last
	peer := -1
	if f.Kind == Stall || f.Kind == Cut || f.Kind == CutOneWay {
		peer = f.Peer
	}
	w.trace.event(w.last, f.Kind.String(), f.Rank, peer)
	switch f.Kind {
	case Kill:
		w.die(e)
	case Pause, Freeze, Thaw:
		w.freeze(e)
		if f.For > 0 {
			w.at(w.last+f.For, func() { w.thaw(e) })
		}
	case Stall, Cut, CutOneWay:
		ways := []*link{w.links[f.Rank][f.Peer], w.links[f.Peer][f.Rank]}
		if f.Kind == CutOneWay {
			ways = ways[:1]
		}
		for _, l := range ways {
			w.cut(l, f.For)
		}
	case CutOff:
		for p := range w.ends {
			w.cut(w.links[f.Rank][p], 0)
			w.cut(w.links[p][f.Rank], 0)
		}
	}
}

// cut has a link hold what comes, for a time or, with 0, for good.
func (w *network) cut(l *link, how time.Duration) {
	l.gate.shut++
	if how > 0 {
		w.at(w.last+how, func() {
			w.trace.line(w.last, "a link carries again")
			l.gate.open(w)
		})
	}
}

func (w *network) freeze(e *end) {
	w.mu.Lock()
	e.frozen = true
	w.mu.Unlock()
	e.in.shut++
	e.out.shut++
}

func (w *network) thaw(e *end) {
	w.trace.event(w.last, "thaws", e.self, -1)
	w.mu.Lock()
	e.frozen = false
	w.mu.Unlock()
	e.in.open(w)
	e.out.open(w)
}

// direct has the network do something of the test's own, and waits for it.
func (w *network) direct(do func()) {
	done := make(chan struct{})
	w.ask(&request{verb: toDirect, direct: func() { do(); close(done) }})
	<-done
}
