// Package watch is what a rank knows of the others and makes known of itself:
// signs of life, how far each is in the calls of each communicator, who is late,
// frozen or lost, what ended the job, and the goodbyes. The values (table, silence,
// holders) have no clock and no lock; begin reading at Watch, which runs them.
package watch

import (
	"errors"
	"fmt"
	"maps"
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

// doubt is the number of a call before which a rank made other calls, and when that was seen first.
type doubt struct {
	seq   uint64
	since time.Time
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

// compare looks at the latest call of a neighbour in a communicator. Ranks that
// make different calls may all wait for frames that nobody is going to send, or
// end them without having exchanged a frame; between any two such ranks there are
// neighbours that differ.
//
// That the latest calls are the same is not enough. Frames of an earlier one that
// nobody takes may fill the way, so that the next one neither sends nor comes to
// see them; hence the sum. It says less than those frames do, which have a beat to come.
func (w *Watch) compare(from int, theirs *announced) {
	w.mu.Lock()
	var mine *announced
	at := place{theirs.Comm, from}
	for _, p := range w.all {
		if p.comm == theirs.Comm && slices.Contains(p.Ranks, from) {
			mine = p.announced(theirs.Seq)
			w.latest[at] = theirs.Header
		}
	}
	if mine != nil && theirs.sum != mine.sum && w.odd[at].seq != theirs.Seq {
		w.odd[at] = doubt{theirs.Seq, time.Now()}
	}
	// Signs may follow each other at once, so it is a beat that counts and not their number.
	again := w.odd[at].seq == theirs.Seq && time.Since(w.odd[at].since) >= w.opt.Heartbeat
	w.mu.Unlock()
	switch {
	case mine == nil:
	case !theirs.SameCall(&mine.Header):
		w.failure.End(&frame.MismatchError{Rank: w.rank, Peer: from, Local: mine.Header, Remote: theirs.Header}, true)
	case theirs.sum != mine.sum && again:
		w.failure.End(&frame.RankError{Rank: w.rank, Peer: from, Err: fmt.Errorf("%w before %v #%d", errOtherCalls, mine.Call, mine.Seq)}, true)
	}
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

// keepStanding is for how many beats a rank says that it left a communicator. On
// their way entries are replaced by newer ones, so that each is not heard by all.
const keepStanding = 25

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
