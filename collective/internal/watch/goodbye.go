package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vgid/collective/frame"
)

// closeGrace is how long Close waits for ranks that still work on their last
// call.
const closeGrace = 5 * time.Second

// Leave says that this rank makes no more calls in a communicator, and does not
// wait for the others.
func (w *Watch) Leave(p *Progress) {
	p.left.Store(true)
	w.mu.Lock()
	differs := w.differing()
	w.mu.Unlock()
	w.failOther(differs)
	w.hurry()
}

// LeaveAll says goodbye, waits until every rank did the same and all know that
// they have made the same calls, and ends the signs of life. A rank that is still in the last call needs the
// frames that this end has yet to deliver, and the news that it passes on.
func (w *Watch) LeaveAll() {
	agreed := w.part()
	close(w.stop)
	w.stopped.Wait()
	if agreed {
		w.speak(neighbours) // what this rank has learned last, others may know from nobody else
	}
}

// part is the goodbye; it reports whether no failure came between.
func (w *Watch) part() bool {
	if w.size == 1 || w.failure.tellLeaving() {
		return false
	}
	w.world.left.Store(true)
	w.mu.Lock()
	w.leaving, w.loud = goodbye, true
	differs, _ := w.agree()
	w.mu.Unlock()
	if w.failOther(differs) {
		<-w.failure.broken // another cause may be on its way already
		return false
	}
	w.hurry()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	select {
	case <-w.left:
	case <-w.failure.broken:
		return false
	case <-ctx.Done():
	}
	return true
}

// agree compares the calls of this rank with those of the others when its
// neighbours have said goodbye, and closes left when every rank has done so. It
// gives a rank that differs, if there is one, and whether there is something to
// tell. A rank that finds one that differs never agrees, so that nobody leaves
// before it is told why. mu is held.
func (w *Watch) agree() (differs *departure, say bool) {
	if differs = w.differing(); differs != nil || w.leaving == staying {
		return differs, false
	}
	if w.leaving == goodbye {
		for _, p := range w.links {
			if !w.parted[p] { // its latest calls come with its own goodbye
				return nil, false
			}
		}
		for _, p := range w.all[1:] {
			for _, r := range p.Ranks {
				// A rank that says goodbye and is not in the communicator had compared it.
				if _, left := p.gone[r]; r != w.rank && !left && w.table.entries[r].leaving == staying {
					return nil, false
				}
			}
		}
		w.leaving, say = agreed, true
	}
	for r := range w.table.entries {
		if r != w.rank && w.table.entries[r].leaving != agreed {
			return nil, say
		}
	}
	select {
	case <-w.left:
	default:
		close(w.left)
	}
	return nil, say
}

// differing finds a rank that has left a communicator, as this one has, after
// other calls. In that of the whole job only neighbours are looked at, whose
// latest calls are known: if any two ranks differ, two neighbours do. mu is held.
func (w *Watch) differing() *departure {
	for _, p := range w.all {
		if !p.left.Load() {
			continue
		}
		seq, sum := p.calls()
		for r, s := range p.gone {
			if p == w.world && (!w.parted[r] || !slices.Contains(w.links, r)) {
				continue
			}
			if s.at.seq() != seq || s.sum != sum {
				return &departure{p, r, s.at.seq()}
			}
		}
	}
	return nil
}

// errOtherCalls is why ranks that have ended all their calls well have not done
// the same.
var errOtherCalls = errors.New("it made other calls than this rank")

// failOther fails if a rank has made other calls, and reports whether it did.
func (w *Watch) failOther(d *departure) bool {
	if d == nil {
		return false
	}
	w.mu.Lock()
	theirs, known := w.latest[place{d.from.comm, d.rank}]
	w.mu.Unlock()
	seq, _ := d.from.calls()
	mine := d.from.last()
	var err error = &frame.RankError{Rank: w.rank, Peer: d.rank, Err: fmt.Errorf("%w until both closed their communicator after call #%d", errOtherCalls, seq)}
	switch {
	case d.last != seq:
		err = &frame.RankError{Rank: w.rank, Peer: d.rank, Err: fmt.Errorf("%w: it closed its communicator after call #%d, this rank after #%d", errOtherCalls, d.last, seq)}
	case known && mine != nil && theirs.Seq == seq && !theirs.SameCall(mine):
		err = &frame.MismatchError{Rank: w.rank, Peer: d.rank, Local: *mine, Remote: theirs}
	}
	w.failure.End(err, true)
	return true
}
