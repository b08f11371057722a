package simulate

import "slices"

// notify carries a notice to a peer, past all frames.
func (w *network) notify(e *end, r *request) {
	l := w.links[r.rank][r.peer]
	if r.done != nil {
		e.finish(r, answer{})
	}
	arrived := func() {
		w.mu.Lock()
		e.under[r.peer]--
		w.mu.Unlock()
	}
	if e.state == closed {
		arrived()
		return
	}
	l.lastNote = max(l.lastNote+1, w.last+w.latency(r.rank, r.peer, 5, uint64(r.nth)))
	l.ends = max(l.ends, l.lastNote)
	w.at(l.lastNote, func() {
		l.gate.pass(func() {
			arrived()
			w.ends[r.peer].in.pass(func() {
				if w.mute || w.ends[r.peer].gone[r.rank] || w.ends[r.peer].state == closed {
					return
				}
				w.trace.notice(w.last, r.rank, r.peer, r.payload)
				w.ends[r.peer].Heard(r.rank, r.payload)
			})
		})
	})
}

// breakEnd ends what an end has under way; notices still leave. Its peers see the
// ends of its lanes, which may be sooner than what it told them before.
func (w *network) breakEnd(e *end) {
	if !w.still(e, broken) {
		return
	}
	for p := range w.ends {
		if p == e.self || !w.isLinked(e.self, p) {
			continue
		}
		l := w.links[e.self][p]
		at := w.last + w.latency(e.self, p, 6)
		if !w.cond.Lossy {
			at = max(at, l.ends+1)
		}
		l.ends = max(l.ends, at)
		w.at(at, func() { w.pass(e.self, p, func() { w.lose(e.self, p, false, w.cond.Lossy) }) })
	}
}

// closeEnd ends an end: its peers learn of it behind all that it sent.
func (w *network) closeEnd(e *end) {
	if !w.still(e, closed) {
		return
	}
	for p := range w.ends {
		if p != e.self && w.isLinked(e.self, p) {
			w.part(e.self, p, false)
		}
	}
}

// die is the end of a rank's process, which its machine tells the peers of, if it is
// abrupt before all that it sent has arrived.
func (w *network) die(e *end) {
	if !w.still(e, closed) {
		return
	}
	for p := range w.ends {
		if p != e.self && w.isLinked(e.self, p) {
			w.part(e.self, p, w.cond.Lossy)
		}
	}
}

// still has nothing of an end wait any more, and reports whether it had not come so
// far before.
func (w *network) still(e *end, to state) bool {
	if e.state >= to {
		return false
	}
	w.mu.Lock()
	e.state = to
	w.mu.Unlock()
	w.trace.event(w.last, to.String(), e.self, -1)
	for _, p := range slices.Clone(e.leaving) {
		p.dropped = true
		e.settle(p)
	}
	for _, r := range slices.Clone(e.waiting) {
		w.refuse(e, r, errBroken)
	}
	return true
}

// part tells a peer of the end of a rank.
func (w *network) part(from, to int, abrupt bool) {
	l := w.links[from][to]
	at := w.last + w.latency(from, to, 7)
	if !abrupt {
		at = max(at, l.ends+1)
	}
	l.ends = max(l.ends, at)
	w.at(at, func() {
		w.pass(from, to, func() {
			w.lose(from, to, true, abrupt)
			if w.ends[to].state != closed {
				w.ends[to].Lost(from, errLost)
			}
		})
	})
}

// lose ends the lanes from a rank, or with gone all that is between two. If it is
// abrupt, what has not been taken is lost.
func (w *network) lose(from, to int, gone, abrupt bool) {
	e := w.ends[to]
	e.cut[from], e.gone[from], e.lost[from] = true, e.gone[from] || gone, e.lost[from] || abrupt
	word := "lanes end"
	if gone {
		word = "lost"
	}
	w.trace.event(w.last, word, from, to)
	for _, r := range slices.Clone(e.waiting) {
		if r.peer != from {
			continue
		}
		switch r.verb {
		case toReceive:
			w.serve(w.flow(r.lane, from, to))
		case toSend:
			w.admit(w.flow(r.lane, to, from))
		case toRead:
			w.read(e, r.parcel)
		}
	}
}

// pass is the way to a peer: the link, which may be cut, and the process, which
// may stand still.
func (w *network) pass(from, to int, do func()) {
	w.links[from][to].gate.pass(func() { w.ends[to].in.pass(do) })
}
