package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vgid/collective/frame"
)

var (
	errBroken = errors.New("simulate: transport is broken")
	errLost   = errors.New("simulate: the connection is closed")
	errFull   = errors.New("simulate: too many notices are under way")
	errApart  = errors.New("simulate: there is no connection to this peer")
)

// mostNotes may be under way to a peer: more are refused, as by a transport whose
// queue is full.
const mostNotes = 64

// end is one rank's end of the network; it implements frame.Transport.
//
// What must always hold, as of any transport: of what is sent nothing is read after
// sent was told; nothing is told to a rank that has closed; and a frozen rank does
// nothing and hears nothing: what asks for something waits until it thaws.
type end struct {
	w    *network
	self int
	frame.Events

	// Of the network's goroutine.
	in, out gate       // shut while the rank stands still
	waiting []*request // that nothing has answered, the oldest first
	leaving []*parcel  // whose payload is still read
	cut     []bool     // by rank: it sends no more frames
	gone    []bool     // by rank: it is lost
	lost    []bool     // by rank: and so is what of it has not been taken
	opening []bool     // by rank: a connection is being opened
	asked   int        // requests so far
	onAsk   func()
	slow    time.Duration // by up to so much everything takes longer here

	// Guarded by w.mu.
	lanes  map[uint32]*lane
	linked []bool // by rank, to which there is a connection
	notes  []int  // by rank, given so far
	under  []int  // by rank, notices under way
	frozen bool
	state  state
	lent   int // frames that were given and not released
}

// state is how far an end has come. Each is also all before.
type state uint8

const (
	working state = iota
	broken
	closed
)

func (s state) String() string { return [...]string{"working", "broken", "closed"}[s] }

func newEnd(w *network, self, n int) *end {
	return &end{w: w, self: self, cut: make([]bool, n), gone: make([]bool, n), lost: make([]bool, n), opening: make([]bool, n), lanes: map[uint32]*lane{}, linked: make([]bool, n), notes: make([]int, n), under: make([]int, n)}
}

func (e *end) Rank() int       { return e.self }
func (e *end) Size() int       { return len(e.w.ends) }
func (e *end) MaxPayload() int { return 4 << 20 }

// Lane implements frame.Transport.
func (e *end) Lane(id uint32) frame.Lane { return e.lane(id) }

func (e *end) lane(id uint32) *lane {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	l := e.lanes[id]
	if l == nil {
		l = &lane{e: e, id: id}
		e.lanes[id] = l
	}
	return l
}

// Notify implements frame.Transport. It waits only while its rank is frozen.
func (e *end) Notify(to int, msg []byte) error {
	e.w.mu.Lock()
	r := &request{verb: toNotify, rank: e.self, peer: to, nth: e.notes[to], payload: append([]byte(nil), msg...)}
	switch frozen := e.frozen; {
	case e.state == closed:
		e.w.mu.Unlock()
		return nil
	case !e.linked[to]:
		e.w.mu.Unlock()
		return errApart
	case e.under[to] >= mostNotes:
		e.w.mu.Unlock()
		return errFull
	case frozen:
		r.done = make(chan answer, 1)
	}
	e.notes[to]++
	e.under[to]++
	e.w.mu.Unlock()
	e.w.ask(r)
	if r.done != nil {
		return (<-r.done).err
	}
	return nil
}

// Open implements frame.Transport.
func (e *end) Open(peer int) {
	if peer != e.self {
		e.w.ask(&request{verb: toOpen, rank: e.self, peer: peer})
	}
}

// Connections implements frame.Transport.
func (e *end) Connections() (all, shared int) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	for _, is := range e.linked {
		if is {
			all++
		}
	}
	return all, 0
}

// Break implements frame.Transport.
func (e *end) Break() { e.w.ask(&request{verb: toBreak, rank: e.self}) }

// Close implements frame.Transport.
func (e *end) Close() error {
	r := &request{verb: toClose, rank: e.self, done: make(chan answer, 1)}
	e.w.ask(r)
	<-r.done
	e.End()
	return nil
}

// lane is an end's part of a lane.
type lane struct {
	e      *end
	id     uint32
	closed bool // of the network's goroutine
}

func (l *lane) do(r *request) answer {
	r.rank, r.lane, r.done = l.e.self, l.id, make(chan answer, 1)
	l.e.w.ask(r)
	return <-r.done
}

// Send implements frame.Lane.
func (l *lane) Send(to int, h *frame.Header, payload []byte, sent *frame.Inflight) error {
	if err := l.do(&request{verb: toSend, peer: to, header: *h, payload: payload, sent: sent}).err; err != nil {
		return fmt.Errorf("send to rank %d: %w", to, err)
	}
	return nil
}

// Recv implements frame.Lane.
func (l *lane) Recv(from int) (*frame.Frame, error) {
	a := l.do(&request{verb: toReceive, peer: from})
	if a.err != nil {
		return nil, fmt.Errorf("receive from rank %d: %w", from, a.err)
	}
	return a.frame, nil
}

// Close implements frame.Lane.
func (l *lane) Close() error {
	l.e.w.ask(&request{verb: toLeave, rank: l.e.self, lane: l.id})
	return nil
}

// waitingIn are the requests that wait in a lane.
func (e *end) waitingIn(lane uint32) (out []*request) {
	for _, r := range e.waiting {
		if r.lane == lane {
			out = append(out, r)
		}
	}
	return out
}

// finish answers a request, in an event of its own: what it wakes runs alone.
func (e *end) finish(r *request, a answer) {
	if i := slices.Index(e.waiting, r); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
	took := within(e.w.stream.draw(ofGrant, uint64(e.self), uint64(r.verb), uint64(r.lane), uint64(r.peer), uint64(e.asked)), time.Microsecond+e.slow)
	e.w.at(e.w.last+took, func() { e.out.pass(func() { e.give(r, a) }) })
}

// give wakes who asked.
func (e *end) give(r *request, a answer) {
	if a.frame != nil && e.state != working {
		a = answer{err: errBroken}
	}
	e.w.trace.answered(e.w.last, e.self, r, a.err)
	if a.frame != nil {
		e.lend(a.frame, r.parcel)
	}
	r.done <- a
}

// lend has a frame come back: until then it counts, and afterwards its memory holds
// something else.
func (e *end) lend(f *frame.Frame, p *parcel) {
	e.w.mu.Lock()
	e.lent++
	e.w.mu.Unlock()
	f.Free = func() {
		for i := range p.data {
			p.data[i] = 0xdd
		}
		e.w.mu.Lock()
		e.lent--
		e.w.mu.Unlock()
	}
}
