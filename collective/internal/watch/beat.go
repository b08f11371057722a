package watch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"vgid/collective/frame"
)

// beat sends signs of life and watches those of the others.
func (w *Watch) beat() {
	tick := time.NewTicker(w.opt.Heartbeat)
	defer tick.Stop()
	last := time.Since(start)
	for {
		due, ok := w.next(tick.C)
		if !ok {
			return
		}
		to := near
		if due {
			to = w.audience()
		} else {
			now := time.Since(start)
			w.mu.Lock()
			w.silence.tick(now - last)
			w.mu.Unlock()
			w.findLate(now, now-last)
			w.findExpected(now)
			w.findSlow(now)
			last = now
		}
		w.speak(to)
		if err := w.frozen(); err != nil {
			w.failure.End(err, true)
			return
		}
	}
}

// next waits for the next beat or, if that is earlier, until a sign is due; not ok at
// the end. Of several that are ready it takes the end before the sign and that before
// the beat, where a select would take any: so a run can be replayed exactly.
func (w *Watch) next(beat <-chan time.Time) (due, ok bool) {
	for {
		select {
		case <-w.stop:
			return false, false
		case <-w.failure.broken:
			return false, false
		default:
		}
		select {
		case <-w.wake:
			return true, true
		default:
		}
		select {
		case <-w.stop:
		case <-w.failure.broken:
		case <-w.wake:
			return true, true
		case <-beat:
			return false, true
		}
	}
}

// frozen is the error of a rank that no neighbour hears, if there is one.
func (w *Watch) frozen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	quiet, since, heard := w.silence.frozen(&w.table)
	if quiet < 0 {
		return nil
	}
	why := "frozen or out of reach"
	switch n := len(w.silence.suspects(&w.table)); {
	case heard:
		why = "it is out of reach from here, but not from everywhere: a link is cut, or the network"
	case n >= len(w.links) && n > 1:
		why = "nor of any other neighbour: this rank is cut off from all others, or they are frozen"
	}
	return &frame.RankError{Rank: w.rank, Peer: quiet, Err: fmt.Errorf("no sign of life for %v: %s", since.Round(time.Second/10), why)}
}

// audience is who hears of this rank.
type audience int

const (
	neighbours audience = iota // those that hear of it in every beat, what is new
	near                       // and others that there is a connection to, that it lives
	everybody                  // all that there is a connection to, everything
)

// audience is who hears a sign that is due before the next beat.
func (w *Watch) audience() audience {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loud {
		w.loud = false
		return everybody
	}
	return neighbours
}

// speak sends signs. Begin, beat and LeaveAll do so one after the other.
func (w *Watch) speak(to audience) {
	now := time.Since(start)
	expects := w.expects(now)
	w.mu.Lock()
	latest := w.refresh(now, expects)
	fresh := w.table.signs(w.table.fresh, latest, now)
	w.table.said()
	own := w.table.signs([]int{w.rank}, latest, now)
	signs := make([][][]byte, w.size)
	var all [][]byte
	for p := range signs {
		switch _, hears := slices.BinarySearch(w.tell, p); {
		case p == w.rank:
		case to == everybody, hears && w.behind[p]:
			if all == nil {
				all = w.table.signs(w.table.known(), latest, now)
			}
			signs[p] = all
		case hears:
			signs[p] = fresh
		case to == near:
			signs[p] = own
		}
	}
	w.mu.Unlock()
	// Not under mu: a transport in memory has the peer hear it at once.
	lost := make([]bool, w.size)
	for p := range signs {
		for _, s := range signs[p] {
			lost[p] = w.t.Notify(p, s) != nil || lost[p] // the loss of a peer is told by the transport
		}
	}
	w.mu.Lock()
	for p := range signs {
		if signs[p] != nil {
			w.behind[p] = lost[p]
		}
	}
	w.mu.Unlock()
}

// refresh writes this rank's own entry and gives the headers of its latest calls;
// mu is held.
func (w *Watch) refresh(now time.Duration, expects []Expect) (latest []announced) {
	e := entry{beat: w.table.entries[w.rank].beat + 1, when: now, inCalls: w.inCalls(now), leaving: w.leaving,
		suspects: w.silence.suspects(&w.table), expects: expects}
	kept := w.all[:0]
	for _, p := range w.all {
		if p != w.world && p.left.Load() && len(p.gone) == len(p.Ranks)-1 {
			// All have left. That this rank has, too, all others have heard by then.
			if p.done == 0 {
				p.done = now
			}
			if now-p.done > keepStanding*w.opt.Heartbeat {
				w.past += time.Duration(p.nanos.Load())
				maps.DeleteFunc(w.latest, func(at place, _ frame.Header) bool { return at.comm == p.comm })
				maps.DeleteFunc(w.odd, func(at place, _ doubt) bool { return at.comm == p.comm })
				continue
			}
		}
		kept = append(kept, p)
		e.in = append(e.in, p.standing(now))
		seq, _ := p.calls()
		if a := p.announced(seq); a != nil {
			latest = append(latest, *a)
		}
	}
	if len(kept) < len(w.all) {
		w.all = kept
		w.retell()
	}
	w.table.put(w.rank, e)
	return latest
}

// inCalls is the time this rank has spent in calls; mu is held.
func (w *Watch) inCalls(now time.Duration) time.Duration {
	sum := w.past
	for _, p := range w.all {
		sum += p.inCalls(now)
	}
	return sum
}
