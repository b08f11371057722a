// Package watch is what a rank knows of the others and makes known of itself:
// signs of life, how far each is in the calls of each communicator, who is late,
// frozen or lost, what ended the job, and the goodbyes. The values (table, silence,
// holders) have no clock and no lock; begin reading at Watch, which runs them.
package watch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// ErrBroken stands for the failure's cause inside a running operation.
var ErrBroken = errors.New("communicator has failed")

// Options are those of the communicator of the job, with nothing left to default.
type Options struct {
	Heartbeat, Silence time.Duration
	OnLate             func(Late)
	OnSlow             func(Slow)
	// Expects lists the messages that somebody of this rank waits for, those of the
	// longest waits first; nil: there are none.
	Expects func(now time.Duration) []Expect
	// OnAsked, if not nil, is told once that a record of the calls is asked for, and
	// why. It returns fast.
	OnAsked func(why string)
}

// Watch is what a rank knows of the others by their signs of life, and what it
// makes known of itself and passes on: one for all communicators of a job. Who
// is late is in blame.go, how ranks part in goodbye.go.
//
// What must always hold: every neighbour (schedule.Links), and every other rank
// that there is a connection to, hears this rank once in a heartbeat until the
// communicator ends; a rank that none of its neighbours hears for longer than Options.Silence ends it, and so does one that left
// before a call it is needed in; a rank that said goodbye is never called lost,
// nor silent once it has agreed that all have left. A header is made known before the goodbyes are looked at, and hear
// looks at the header after it stored the goodbye, so that one of the two sees
// both.
type Watch struct {
	t          frame.Transport
	rank, size int
	opt        Options
	failure    *Failure
	world      *Progress // of the communicator of the whole job
	links      []int
	held       []atomic.Int64 // by rank, nanoseconds that this rank waited for it to come
	shares     shares         // of the heartbeat's goroutine
	expecting  alarm          // the same
	stop       chan struct{}
	wake       chan struct{} // a sign is due before the next beat
	stopped    sync.WaitGroup

	mu      sync.Mutex    // guards what follows
	all     []*Progress   // of the communicators that this rank is in, the world's first
	past    time.Duration // spent in calls of those that are no more in all
	tell    []int         // who hears of this rank: neighbours in the job and in its communicators
	table   table
	silence silence
	behind  []bool // by rank: a sign to it was lost, so the next one says all
	loud    bool   // the next sign before its beat goes to everybody
	leaving leaving
	parted  []bool                 // by rank: it said goodbye itself, or was lost behind one
	latest  map[place]frame.Header // calls that ranks said themselves they are in
	odd     map[place]doubt        // of those before which they made other calls
	left    chan struct{}          // closed when all ranks agree that all have left

	asked atomic.Bool // all ranks were asked for a record
}

// place is a rank in a communicator.
type place struct {
	comm uint32
	rank int
}

// slowWindow is the time over which ranks are compared.
const slowWindow = 20 * time.Second

// Begin starts the signs of life.
func (w *Watch) Begin(world *Progress) {
	w.prepare(world)
	w.t.Watch(w.hear, w.lose)
	if w.size > 1 {
		w.speak(near) // before the first call: from now on it counts when this rank is silent
		w.stopped.Go(w.beat)
	}
}

// prepare gives the watch what it needs to hear others.
func (w *Watch) prepare(world *Progress) {
	w.world, w.all = world, []*Progress{world}
	w.shares = shares{window: slowWindow, slow: -1}
	w.links = schedule.Links(w.rank, w.size)
	w.held, w.behind = make([]atomic.Int64, w.size), make([]bool, w.size)
	w.parted, w.latest, w.odd, w.tell = make([]bool, w.size), map[place]frame.Header{}, map[place]doubt{}, w.links
	w.table, w.silence = newTable(w.rank, w.size), newSilence(w.rank, w.size, w.opt.Heartbeat, w.opt.Silence)
	w.stop, w.wake, w.left = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
}

// hear takes a notice of a peer.
func (w *Watch) hear(from int, msg []byte) {
	if len(msg) == 0 {
		return
	}
	switch msg[0] {
	case noticeAlive:
		now := time.Since(start)
		if latest, news, ok := readSign(msg[1:], w.size, now); ok {
			for i := range latest {
				w.compare(from, &latest[i])
			}
			w.learn(from, news)
		}
	case noticeAsk:
		w.Ask(string(msg[1:min(len(msg), maxNotice)]))
	case noticeAbort:
		w.failure.End(decodeAbort(w.rank, from, w.size, msg[1:]), true)
	}
}

// departure is a rank that left a communicator.
type departure struct {
	from *Progress
	rank int
	last uint64 // its last call there
}

// learn takes what a rank says of itself and of others.
func (w *Watch) learn(from int, news []ranked) {
	var gone []departure
	urgent := false
	w.mu.Lock()
	w.silence.hear(from)
	for _, n := range news {
		old := w.table.entries[n.rank]
		if n.rank == from && n.leaving != staying {
			w.parted[from] = true // others may have told of it before
		}
		if n.rank == w.rank || !w.table.put(n.rank, n.entry) {
			continue
		}
		w.silence.news[n.rank] = 0
		departed := w.departures(n.rank, &n.entry)
		gone = append(gone, departed...)
		urgent = urgent || len(departed) > 0 || n.leaving != old.leaving || !slices.Equal(n.suspects, old.suspects)
	}
	differs, say := w.agree()
	w.mu.Unlock()
	w.failOther(differs)
	select {
	case <-w.left: // what is new is said by LeaveAll
	default:
		if urgent || say {
			w.hurry()
		}
	}
	for _, g := range gone {
		if h := g.from.header.Load(); h != nil && h.Seq > g.last {
			w.failure.peerLeft(g.rank, g.last)
		}
	}
}

// departures notes which of the communicators of this rank another has left since
// it was last heard of; mu is held.
func (w *Watch) departures(rank int, e *entry) (out []departure) {
	for _, s := range e.in {
		if !s.left {
			continue
		}
		for _, p := range w.all {
			if _, known := p.gone[rank]; p.comm == s.comm && !known && slices.Contains(p.Ranks, rank) {
				p.gone[rank] = s
				p.firstLeft.Store(min(p.firstLeft.Load(), s.at.seq()))
				out = append(out, departure{p, rank, s.at.seq()})
			}
		}
	}
	return out
}

// Track watches over another communicator.
func (w *Watch) Track(p *Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, p)
	w.retell()
	for _, r := range p.Ranks {
		if r != w.rank {
			w.departures(r, &w.table.entries[r])
		}
	}
}

// retell works out who hears of this rank; mu is held.
func (w *Watch) retell() {
	w.tell = slices.Clone(w.links)
	for _, p := range w.all[1:] {
		for _, i := range schedule.Links(slices.Index(p.Ranks, w.rank), len(p.Ranks)) {
			w.tell = append(w.tell, p.Ranks[i])
		}
	}
	slices.Sort(w.tell)
	w.tell = slices.Compact(w.tell)
}

// entry is what is known of a rank.
func (w *Watch) entry(rank int) entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.entries[rank]
}

// hurry has the next sign sent at once.
func (w *Watch) hurry() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Announce makes the header of a running call known, and refuses a call that a
// rank has left before.
func (w *Watch) Announce(p *Progress, h *frame.Header) error {
	p.enter(h)
	if h.Seq <= p.firstLeft.Load() {
		return nil
	}
	w.mu.Lock()
	who := departure{rank: -1}
	for r, s := range p.gone {
		if s.at.seq() < h.Seq && (who.rank < 0 || r < who.rank) {
			who = departure{p, r, s.at.seq()}
		}
	}
	w.mu.Unlock()
	w.failure.peerLeft(who.rank, who.last)
	return ErrBroken
}

// lose takes the loss of a connection. After a goodbye it is the expected end. Of
// ranks that are no neighbours the neighbours tell: their goodbye may come by way
// of others, and so later than the end of a connection that was opened late.
func (w *Watch) lose(peer int, err error) {
	neighbour := slices.Contains(w.links, peer)
	w.mu.Lock()
	e := w.table.entries[peer]
	if e.leaving != staying {
		// It cannot say itself any more that it agrees.
		e.beat, e.leaving, e.when = e.beat+1, agreed, time.Since(start)
		w.table.put(peer, e)
		w.parted[peer] = true
		w.agree() // it cannot differ: what it said was compared when it was heard
	} else if !neighbour {
		w.silence.lose(peer)
	}
	w.mu.Unlock()
	switch {
	case e.leaving != staying:
		w.hurry()
	case neighbour:
		w.failure.End(&frame.RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("connection lost: %w", err)}, true)
	}
}

// Ask has all ranks asked for a record of their calls: each passes it on, once.
func (w *Watch) Ask(why string) {
	if w.asked.Swap(true) {
		return
	}
	if w.opt.OnAsked != nil {
		w.opt.OnAsked(why)
	}
	for p := range w.size {
		if p != w.rank {
			_ = w.t.Notify(p, append([]byte{noticeAsk}, why...)) // to those it is connected to
		}
	}
}

// Waited is for how long the call that runs, or the message that somebody waits for
// longest, has waited; 0 if there is none.
func (w *Watch) Waited() (longest time.Duration) {
	now := time.Since(start)
	for _, x := range w.expects(now) {
		longest = max(longest, x.Age)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.all {
		if p.header.Load() != nil {
			longest = max(longest, now-p.sinceBegan())
		}
	}
	return longest
}

// HasLeft reports whether a rank said goodbye.
func (w *Watch) HasLeft(rank int) bool { return w.entry(rank).leaving != staying }

// keepStanding is for how many beats a rank says that it left a communicator. On
// their way entries are replaced by newer ones, so that each is not heard by all.
const keepStanding = 25

// New watches the other ranks of the job from Begin on; t is nil for a rank alone.
func New(t frame.Transport, rank, size int, opt Options, f *Failure) *Watch {
	return &Watch{t: t, rank: rank, size: size, opt: opt, failure: f}
}

// Size is the number of ranks of the job.
func (w *Watch) Size() int { return w.size }

// Held is the time that calls of this rank waited because another had not come to
// them.
func (w *Watch) Held(rank int) time.Duration {
	if w.held == nil {
		return 0
	}
	return time.Duration(w.held[rank].Load())
}
