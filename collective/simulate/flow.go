package simulate

import (
	"time"

	"vgid/collective/frame"
)

// route is one direction of a lane between two ranks.
type route struct {
	lane     uint32
	from, to int
}

// flow is what is under way on a route.
//
// What must always hold: frames arrive in the order in which they were sent, and no
// more than Conditions.Window have been sent and not taken.
type flow struct {
	route
	sent      int      // frames so far
	sending   *request // waits for room
	receiving *request // waits for a frame
	arrived   []*parcel
	underWay  int
	last      time.Duration // when the latest arrives
}

// parcel is a frame under way.
type parcel struct {
	header  frame.Header
	memory  []byte          // the sender's, until it has left
	sent    *frame.Inflight // told then
	data    []byte
	have    int      // bytes of it that have arrived, if it is streamed
	reading *request // waits for more
	dropped bool     // its sender broke before it had left
}

// flow is the state of a route.
func (w *network) flow(lane uint32, from, to int) *flow {
	key := route{lane, from, to}
	f := w.flows[key]
	if f == nil {
		f = &flow{route: key}
		w.flows[key] = f
	}
	return f
}

// handle does what a rank asks for.
func (w *network) handle(r *request) {
	e := w.ends[r.rank]
	switch r.verb {
	case toNotify:
		w.notify(e, r)
	case toOpen:
		w.connect(r.rank, r.peer)
	case toSend:
		w.connect(r.rank, r.peer)
		e.waiting = append(e.waiting, r)
		f := w.flow(r.lane, r.rank, r.peer)
		f.sending = r
		w.admit(f)
	case toReceive:
		w.connect(r.rank, r.peer)
		e.waiting = append(e.waiting, r)
		f := w.flow(r.lane, r.peer, r.rank)
		f.receiving = r
		w.serve(f)
	case toRead:
		e.waiting = append(e.waiting, r)
		r.parcel.reading = r
		w.read(e, r.parcel)
	case toLeave:
		e.lane(r.lane).closed = true
		for _, q := range e.waitingIn(r.lane) {
			w.refuse(e, q, errBroken)
		}
	case toBreak:
		w.breakEnd(e)
	case toClose:
		w.closeEnd(e)
		e.finish(r, answer{})
	}
}

// connect opens a connection, which takes a time.
func (w *network) connect(from, to int) {
	e := w.ends[from]
	if w.isLinked(from, to) || e.opening[to] || e.state == closed {
		return
	}
	e.opening[to], w.ends[to].opening[from] = true, true
	// Both ways have to be open for it, as for a handshake.
	there := w.latency(from, to, 1)
	w.at(w.last+there, func() {
		w.pass(from, to, func() {
			w.at(w.last+w.latency(to, from, 2), func() { w.pass(to, from, func() { w.connected(from, to) }) })
		})
	})
}

func (w *network) connected(a, b int) {
	w.mu.Lock()
	w.ends[a].linked[b], w.ends[b].linked[a] = true, true
	w.mu.Unlock()
	w.trace.event(w.last, "connected", a, b)
	for _, ends := range [2][2]int{{a, b}, {b, a}} {
		if w.ends[ends[0]].state == closed {
			w.part(ends[0], ends[1], false)
		}
		for _, r := range append([]*request(nil), w.ends[ends[0]].waiting...) {
			if r.verb == toSend && r.peer == ends[1] {
				w.admit(w.flow(r.lane, r.rank, r.peer))
			}
		}
	}
}

func (w *network) isLinked(a, b int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[a].linked[b]
}

// admit takes the frame that waits for room on a route, if there is some.
func (w *network) admit(f *flow) {
	r, e := f.sending, w.ends[f.from]
	switch {
	case r == nil:
	case e.state != working || e.lane(f.lane).closed:
		w.refuse(e, r, errBroken)
	case e.gone[f.to]:
		w.refuse(e, r, errLost)
	case f.underWay < w.cond.Window && w.isLinked(f.from, f.to):
		f.sending = nil
		f.underWay++
		w.depart(e, f, r)
		e.finish(r, answer{})
	}
}

// depart sends a frame on its way.
func (w *network) depart(e *end, f *flow, r *request) {
	p := &parcel{header: r.header, memory: r.payload, sent: r.sent}
	e.leaving = append(e.leaving, p)
	l := w.links[f.from][f.to]
	l.busy = max(l.busy, w.last)
	if w.cond.Bandwidth > 0 {
		l.busy += time.Duration(float64(len(r.payload)+frame.HeaderSize) / w.cond.Bandwidth * float64(time.Second))
	}
	f.sent++
	nth := uint64(f.sent)
	took := w.latency(f.from, f.to, 3, uint64(f.lane), nth)
	f.last = max(f.last+1, l.busy+took)
	head := f.last
	if w.cond.Streamed && len(r.payload) > 1 {
		// The header comes first, then the payload in two parts.
		part := 1 + int(w.stream.draw(ofPayload, uint64(f.from), uint64(f.to), uint64(f.lane), nth)%uint64(len(r.payload)-1))
		for i, have := range [2]int{part, len(r.payload)} {
			f.last += 1 + w.latency(f.from, f.to, 4, uint64(f.lane), nth, uint64(i))
			w.at(f.last, func() { w.pass(f.from, f.to, func() { w.more(f, p, have) }) })
		}
	} else {
		p.have = len(r.payload)
	}
	l.ends = max(l.ends, f.last)
	leave := func() { e.leave(p) }
	if w.cond.Late {
		w.at(l.busy, leave)
	} else {
		leave()
	}
	w.at(head, func() { w.pass(f.from, f.to, func() { w.arrive(f, p) }) })
}

// leave reads a payload for the last time.
func (e *end) leave(p *parcel) {
	if p.dropped || p.sent == nil {
		return
	}
	p.data = append([]byte(nil), p.memory...)
	if e.w.tamper != nil {
		e.w.tamper(p.data)
	}
	e.settle(p)
}

// settle gives the memory of a payload back.
func (e *end) settle(p *parcel) {
	for i, other := range e.leaving {
		if other == p {
			e.leaving = append(e.leaving[:i], e.leaving[i+1:]...)
			break
		}
	}
	p.sent.Done()
	p.memory, p.sent = nil, nil
}

// arrive brings a frame to its receiver.
func (w *network) arrive(f *flow, p *parcel) {
	if p.dropped || w.lost(f) {
		return
	}
	w.trace.frame(w.last, f.route, &p.header)
	f.arrived = append(f.arrived, p)
	w.serve(f)
}

// more brings a further part of a payload.
func (w *network) more(f *flow, p *parcel, have int) {
	if p.dropped || w.lost(f) {
		return
	}
	w.mu.Lock()
	p.have = have
	w.mu.Unlock()
	w.read(w.ends[f.to], p)
}

// lost reports whether what is under way does not arrive any more.
func (w *network) lost(f *flow) bool { return w.ends[f.to].lost[f.from] }

// serve gives a frame to who waits for it.
func (w *network) serve(f *flow) {
	r, e := f.receiving, w.ends[f.to]
	switch {
	case r == nil:
	case e.state != working || e.lane(f.lane).closed:
		w.refuse(e, r, errBroken)
	case len(f.arrived) > 0 && !w.lost(f):
		p := f.arrived[0]
		f.arrived = f.arrived[1:]
		f.receiving, r.parcel = nil, p
		f.underWay--
		e.finish(r, answer{frame: e.unpack(f, p)})
		w.admit(f)
	case e.cut[f.from]:
		w.refuse(e, r, errLost)
	}
}

// refuse answers a request with an error.
func (w *network) refuse(e *end, r *request, err error) {
	switch r.verb {
	case toSend:
		w.flow(r.lane, r.rank, r.peer).sending = nil
		r.sent.Done()
	case toReceive:
		w.flow(r.lane, r.peer, r.rank).receiving = nil
	case toRead:
		r.parcel.reading = nil
	}
	e.finish(r, answer{err: err})
}
