package simulate

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// Conditions are how a network carries what is sent.
type Conditions struct {
	Latency   time.Duration // of every frame and notice, at least
	Jitter    time.Duration // and up to this much more
	Bandwidth float64       // bytes a second of each link, each way; 0: no limit
	Window    int           // frames of one lane that one rank may have under way to another
	Streamed  bool          // payloads are taken while they come in
	Late      bool          // payloads are read from the sender's memory when they leave, not when they are handed over
	Lossy     bool          // frames that nobody took are lost when their sender breaks
}

// network is what lies between the ranks of a world, in a bubble of virtual time
// (testing/synctest).
//
// What must always hold, so that a schedule can be replayed exactly: one goroutine
// (run) decides everything, one event after another, each at a time of its own and
// while all other goroutines wait; and what they ask for in between is put in an
// order that does not depend on which came first. Then the order of everything
// follows from virtual times, these from the seed, and nothing from the scheduler
// of goroutines.
type network struct {
	stream stream
	cond   Conditions
	ends   []*end
	trace  *Trace
	began  time.Time

	// Of run's goroutine.
	events events
	last   time.Duration // when the last event was
	number uint64        // of events
	flows  map[route]*flow
	links  [][]*link // by sender and receiver

	mu    sync.Mutex
	asked []*request // since all stood still

	tamper func(payload []byte) // if not nil, changes what arrives, to see that it is noticed
	mute   bool                 // notices do not arrive, for the same

	kick    chan struct{} // something was asked for
	stop    chan struct{}
	stopped chan struct{}
}

// link is one direction between two ranks.
type link struct {
	gate     gate
	busy     time.Duration // until when it carries what was sent
	lastNote time.Duration // when the latest notice arrives
	ends     time.Duration // when all of it has arrived
}

// newNetwork connects n ranks, as schedule.Links says.
func newNetwork(n int, s stream, c Conditions, tr *Trace) *network {
	w := &network{
		stream: s, cond: c, trace: tr, began: time.Now(), flows: map[route]*flow{}, links: make([][]*link, n),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	for r := range n {
		w.ends = append(w.ends, newEnd(w, r, n))
		for range n {
			w.links[r] = append(w.links[r], &link{})
		}
		for _, p := range schedule.Links(r, n) {
			w.ends[r].linked[p] = true
		}
	}
	return w
}

// now is the time since the network began.
func (w *network) now() time.Duration { return time.Since(w.began) }

// event is something that happens at a time.
type event struct {
	at     time.Duration
	number uint64 // breaks ties
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(e[i].at, e[j].at), cmp.Compare(e[i].number, e[j].number)) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}

// at has something happen at a time, or as soon after it as nothing else does; it is
// called by what happens.
func (w *network) at(t time.Duration, do func()) {
	w.number++
	heap.Push(&w.events, event{t, w.number, do})
}

// run is the network, until stop closes.
func (w *network) run() {
	defer close(w.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		synctest.Wait()
		w.answer()
		wait := time.Hour
		if len(w.events) > 0 {
			now := w.now()
			if wait = max(w.events[0].at, w.last+1) - now; wait <= 0 {
				w.last = now
				heap.Pop(&w.events).(event).do()
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.kick:
		case <-w.stop:
			return
		}
	}
}

// ask gives the network something to do when all stand still.
func (w *network) ask(r *request) {
	w.mu.Lock()
	w.asked = append(w.asked, r)
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// answer takes what was asked for since all last stood still.
func (w *network) answer() {
	w.mu.Lock()
	asked := w.asked
	w.asked = nil
	w.mu.Unlock()
	slices.SortFunc(asked, (*request).compare)
	for _, r := range asked {
		if r.verb == toDirect {
			w.at(w.last, r.direct)
			continue
		}
		e := w.ends[r.rank]
		e.asked++
		if e.onAsk != nil {
			e.onAsk()
		}
		e.out.pass(func() { w.handle(r) })
	}
}

// verb is what a rank asks of the network.
type verb uint8

const (
	toNotify verb = iota
	toOpen
	toSend
	toReceive
	toRead // more of a payload that comes in
	toLeave
	toBreak
	toClose
	toDirect // what the test itself does
)

func (v verb) String() string {
	return [...]string{"notify", "open", "send", "receive", "read", "leave", "break", "close", "direct"}[v]
}

// request is something that a rank asks for; one that it waits for has done.
type request struct {
	verb    verb
	rank    int
	peer    int
	lane    uint32
	nth     int // of the notices to the peer
	header  frame.Header
	payload []byte
	sent    *frame.Inflight
	parcel  *parcel
	direct  func()
	done    chan answer
}

type answer struct {
	frame *frame.Frame
	err   error
}

// compare orders requests; no two at one time are equal: of each lane one goroutine
// sends to a peer, and one receives of it.
func (r *request) compare(o *request) int {
	return cmp.Or(cmp.Compare(r.rank, o.rank), cmp.Compare(r.verb, o.verb), cmp.Compare(r.lane, o.lane), cmp.Compare(r.peer, o.peer), cmp.Compare(r.nth, o.nth))
}

// gate is where what passes can be held up, in its order.
type gate struct {
	shut int // how often it was shut and not opened
	held []func()
}

func (g *gate) pass(do func()) {
	if g.shut == 0 && len(g.held) == 0 {
		do()
		return
	}
	g.held = append(g.held, do)
}

// open lets everything pass that was held, one after another.
func (g *gate) open(w *network) {
	g.shut--
	w.at(w.last, func() { g.drain(w) })
}

func (g *gate) drain(w *network) {
	if g.shut > 0 || len(g.held) == 0 {
		return
	}
	do := g.held[0]
	g.held = g.held[1:]
	do()
	w.at(w.last, func() { g.drain(w) })
}

// latency is how long something takes from one rank to another; words tell it
// from all else.
func (w *network) latency(from, to int, words ...uint64) time.Duration {
	words = append(words, uint64(from), uint64(to))
	return w.cond.Latency + within(w.stream.draw(ofLatency, words...), w.cond.Jitter)
}
