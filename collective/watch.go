package collective

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/schedule"
)

// watch is what a rank knows of the others by their signs of life, and what it
// makes known of itself and passes on.
//
// What must always hold: every neighbour (schedule.Links) hears this rank once
// in a heartbeat until the communicator ends; a rank that none of its neighbours
// hears for longer than Options.Silence ends it, and so does one that left
// before a call it is needed in; a rank that said goodbye is never called lost
// or silent. A header is made known before the goodbyes are looked at, and hear
// looks at the header after it stored the goodbye, so that one of the two sees
// both.
type watch struct {
	t          Transport
	rank, size int
	opt        *Options
	failure    *failure
	progress   *progress
	family     *family // of the first communicator, else nil
	links      []int
	held       []atomic.Int64 // by rank, nanoseconds that this rank waited for it to come
	firstLeft  atomic.Uint64  // the lowest last call of the ranks that left
	alarm      alarm          // of the heartbeat's goroutine
	shares     shares         // the same
	stop       chan struct{}
	wake       chan struct{} // a sign is due before the next beat
	stopped    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	table   table
	silence silence
	behind  []bool // by rank: a sign to it was lost, so the next one says all
	leaving leaving
	parted  map[int]*Header // ranks that said goodbye themselves, or were lost behind one: the last call
	left    chan struct{}   // closed when all ranks agree that all have left
}

// slowWindow is the time over which ranks are compared.
const slowWindow = 20 * time.Second

// begin starts the signs of life.
func (w *watch) begin() {
	w.alarm.after = min(5*time.Second, w.opt.Timeout/4)
	w.shares = shares{window: slowWindow, slow: -1}
	w.links = schedule.Links(w.rank, w.size)
	w.held, w.behind = make([]atomic.Int64, w.size), make([]bool, w.size)
	w.parted = map[int]*Header{}
	w.firstLeft.Store(^uint64(0))
	w.table, w.silence = newTable(w.rank, w.size), newSilence(w.rank, w.size, w.opt.Heartbeat, w.opt.Silence)
	w.stop, w.wake, w.left = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	w.t.Watch(w.hear, w.lose)
	if w.size > 1 {
		w.stopped.Go(w.beat)
	}
}

// end stops them.
func (w *watch) end() { close(w.stop) }

// hear takes a notice of a peer.
func (w *watch) hear(from int, msg []byte) {
	if len(msg) == 0 {
		return
	}
	switch msg[0] {
	case noticeAlive:
		now := time.Since(start)
		if latest, news, ok := readSign(msg[1:], w.size, now); ok {
			if latest != nil {
				w.compare(from, latest)
			}
			w.learn(from, latest, news)
		}
	case noticeChild:
		if w.family != nil {
			w.family.hear(from, msg[1:])
		}
	case noticeAbort:
		w.failure.end(decodeAbort(w.rank, from, w.size, msg[1:]), true)
	}
}

// learn takes what a neighbour says of itself and of others.
func (w *watch) learn(from int, latest *Header, news []ranked) {
	var gone []int
	urgent := false
	w.mu.Lock()
	w.silence.direct[from] = 0
	for _, n := range news {
		if n.rank == w.rank {
			continue
		}
		old := w.table.entries[n.rank]
		if !w.table.put(n.rank, n.entry) {
			continue
		}
		w.silence.news[n.rank] = 0
		if n.leaving != staying && n.rank == from {
			w.parted[from] = latest
		}
		if n.leaving != old.leaving || !slices.Equal(n.suspects, old.suspects) {
			urgent = true
		}
		if n.leaving != staying && old.leaving == staying {
			gone = append(gone, n.rank)
			w.noteLeft(n.at.seq())
		}
	}
	differs, said := w.agree()
	w.mu.Unlock()
	if differs >= 0 {
		w.failure.end(w.otherCalls(differs), true)
	}
	if urgent || said {
		w.hurry()
	}
	if h := w.progress.header.Load(); h != nil {
		for _, r := range gone {
			if last := w.entry(r).at.seq(); h.Seq > last {
				w.failLeft(r, last)
			}
		}
	}
}

// noteLeft lowers firstLeft; mu is held.
func (w *watch) noteLeft(last uint64) {
	w.firstLeft.Store(min(w.firstLeft.Load(), last))
}

// entry is what is known of a rank.
func (w *watch) entry(rank int) entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.entries[rank]
}

// hurry has the next sign sent at once.
func (w *watch) hurry() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// announce makes the header of the running call known, and refuses a call that
// a rank has left before.
func (w *watch) announce(h *Header) error {
	w.progress.enter(h)
	if h.Seq <= w.firstLeft.Load() {
		return nil
	}
	for r := range w.size {
		if e := w.entry(r); e.leaving != staying && e.at.seq() < h.Seq {
			w.failLeft(r, e.at.seq())
			break
		}
	}
	return errBroken
}

// compare looks at the latest call of a neighbour. Ranks that make different
// calls may all wait for frames that nobody is going to send, or end them without
// having exchanged a frame; between any two such ranks there are neighbours that
// differ.
func (w *watch) compare(from int, theirs *Header) {
	mine := w.progress.call(theirs.Seq)
	if mine != nil && !theirs.sameCall(mine) {
		w.failure.end(&MismatchError{Rank: w.rank, Peer: from, Local: *mine, Remote: *theirs}, true)
	}
}

func (w *watch) failLeft(peer int, last uint64) {
	w.failure.end(&RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("it closed its communicator after call #%d", last)}, false)
}

// lose takes the loss of a connection. After a goodbye it is the expected end.
func (w *watch) lose(peer int, err error) {
	w.mu.Lock()
	e := w.table.entries[peer]
	if e.leaving != staying {
		// It cannot say itself any more that it agrees.
		e.beat, e.leaving, e.when = e.beat+1, agreed, time.Since(start)
		w.table.put(peer, e)
		if _, said := w.parted[peer]; !said {
			w.parted[peer] = nil
		}
		w.agree() // it cannot differ: what it said was compared when it was heard
	}
	w.mu.Unlock()
	if e.leaving == staying {
		w.failure.end(&RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("connection lost: %w", err)}, true)
		return
	}
	w.hurry()
}

// hasLeft reports whether a rank said goodbye.
func (w *watch) hasLeft(rank int) bool { return w.entry(rank).leaving != staying }

// beat sends signs of life and watches those of the others.
func (w *watch) beat() {
	tick := time.NewTicker(w.opt.Heartbeat)
	defer tick.Stop()
	last := time.Since(start)
	for {
		select {
		case <-w.stop:
			return
		case <-w.failure.broken:
			return
		case <-w.wake:
		case <-tick.C:
			now := time.Since(start)
			w.mu.Lock()
			w.silence.tick(now - last)
			w.mu.Unlock()
			w.findLate(now, now-last)
			w.findSlow(now)
			last = now
		}
		w.tell(w.links)
		if err := w.frozen(); err != nil {
			w.failure.end(err, true)
			return
		}
	}
}

// frozen is the error of a rank that no neighbour hears, if there is one.
func (w *watch) frozen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	quiet, since := w.silence.frozen(&w.table)
	if quiet < 0 {
		return nil
	}
	why := "frozen or out of reach"
	if n := len(w.silence.suspects(&w.table)); n == len(w.links) && n > 1 {
		why = "nor of any other neighbour: this rank is cut off from all others, or they are frozen"
	}
	return &RankError{Rank: w.rank, Peer: quiet, Err: fmt.Errorf("no sign of life for %v: %s", since.Round(time.Second/10), why)}
}

// tell sends what is new to ranks, as far as there are connections to them.
func (w *watch) tell(to []int) {
	latest := w.progress.last()
	now := time.Since(start)
	signs := make([][][]byte, len(to))
	w.mu.Lock()
	w.refresh(now)
	fresh := w.table.signs(w.table.fresh, latest, now)
	w.table.fresh = w.table.fresh[:0]
	for i, p := range to {
		signs[i] = fresh
		if w.behind[p] {
			signs[i] = w.table.signs(w.known(), latest, now)
		}
	}
	w.mu.Unlock()
	// Not under mu: a transport in memory has the peer hear it at once.
	for i, p := range to {
		lost := false
		for _, s := range signs[i] {
			lost = w.t.Notify(p, s) != nil || lost // the loss of a peer is told by the transport
		}
		w.mu.Lock()
		w.behind[p] = lost
		w.mu.Unlock()
	}
}

// known are the ranks of which anything is known; mu is held.
func (w *watch) known() (out []int) {
	for r := range w.table.entries {
		if w.table.entries[r].beat > 0 {
			out = append(out, r)
		}
	}
	return out
}

// refresh writes this rank's own entry; mu is held.
func (w *watch) refresh(now time.Duration) {
	at, call := w.progress.at()
	_, sum := w.progress.calls()
	w.table.put(w.rank, entry{beat: w.table.entries[w.rank].beat + 1, when: now, inCalls: w.progress.inCalls(now),
		at: at, call: call, leaving: w.leaving, sum: sum, suspects: w.silence.suspects(&w.table)})
}

// findLate counts the time that the running call waits for late ranks, and
// tells of them: the lowest of the ranks that wait does.
func (w *watch) findLate(now, tick time.Duration) {
	h := w.progress.header.Load()
	if h == nil {
		return
	}
	since := w.progress.sinceBegan()
	late, waiting := holders(h.Seq, w.rank, since, w.opt.Heartbeat, w.entries())
	for _, r := range late {
		w.held[r].Add(int64(min(tick, now-since)))
	}
	if len(late) > 0 && w.opt.OnLate != nil && slices.Min(waiting) == w.rank && w.alarm.due(h.Seq, now-since) {
		e := w.entry(late[0])
		w.opt.OnLate(Late{Call: *h, Ranks: late, Waiting: waiting, For: now - since, Size: w.size, at: e.at, call: e.call})
	}
}

// entries is what is known of all ranks.
func (w *watch) entries() []entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.table.entries)
}

// findSlow tells of a rank that is slow; the lowest of the others does.
func (w *watch) findSlow(now time.Duration) {
	if w.opt.OnSlow == nil {
		return
	}
	all := w.entries()
	all[w.rank] = entry{beat: 1, when: now, inCalls: w.progress.inCalls(now)}
	if s, found := w.shares.look(all); found {
		teller := 0
		if s.Rank == teller {
			teller = 1
		}
		if w.rank == teller {
			w.opt.OnSlow(s)
		}
	}
}

// blame is the peer to name when a call took too long, and why: one that there
// is no news of, else one that is alive but has not come to the call, else the
// one waited for.
func (w *watch) blame() (peer int, why string) {
	w.mu.Lock()
	quiet := w.silence.quietest(&w.table)
	w.mu.Unlock()
	if quiet >= 0 {
		return quiet, "it hangs, was stopped, or is cut off"
	}
	if h := w.progress.header.Load(); h != nil {
		late, _ := holders(h.Seq, w.rank, w.progress.sinceBegan(), w.opt.Heartbeat, w.entries())
		if len(late) > 0 {
			return late[0], "it is alive, but has not come to this call"
		}
	}
	return int(w.progress.waiting.Load()), "it hangs, was stopped, or is cut off"
}

// closeGrace is how long Close waits for ranks that still work on their last
// call.
const closeGrace = 5 * time.Second

// leave says goodbye and waits until every rank did the same and all know that
// they have made the same calls. A rank that is still in the last call needs the
// frames that this end has yet to deliver, and the news that it passes on.
func (w *watch) leave() {
	if w.size == 1 || w.failure.tellLeaving() {
		return
	}
	w.mu.Lock()
	w.leaving = goodbye
	differs, _ := w.agree()
	everybody := make([]int, 0, w.size-1)
	for r := range w.size {
		if r != w.rank {
			everybody = append(everybody, r)
		}
	}
	w.mu.Unlock()
	if differs >= 0 {
		w.failure.end(w.otherCalls(differs), true)
		<-w.failure.broken // another cause may be on its way already
		return
	}
	w.tell(everybody)
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	select {
	case <-w.left:
	case <-w.failure.broken:
		return
	case <-ctx.Done():
	}
	w.tell(w.links) // what this rank has learned last, others may know from nobody else
}

// agree compares the calls of this rank with those of its neighbours when all of
// them have said goodbye, and closes left when every rank has done so. It gives
// a neighbour that differs, or -1, and whether there is something to tell. A
// rank that finds one that differs never agrees, so that nobody leaves before it
// is told why. mu is held.
func (w *watch) agree() (differs int, say bool) {
	if w.leaving == staying {
		return -1, false
	}
	if w.leaving == goodbye {
		seq, sum := w.progress.calls()
		for _, p := range w.links {
			if _, said := w.parted[p]; !said { // its latest header comes with its own goodbye
				return -1, false
			}
			if e := &w.table.entries[p]; e.at.seq() != seq || e.sum != sum {
				return p, false
			}
		}
		w.leaving, say = agreed, true
	}
	for r := range w.table.entries {
		if r != w.rank && w.table.entries[r].leaving != agreed {
			return -1, say
		}
	}
	select {
	case <-w.left:
	default:
		close(w.left)
	}
	return -1, say
}

// errOtherCalls is why ranks that have ended all their calls well have not done
// the same.
var errOtherCalls = errors.New("it made other calls than this rank")

// otherCalls says that a neighbour that said goodbye has made other calls.
func (w *watch) otherCalls(peer int) error {
	w.mu.Lock()
	theirs, last := w.table.entries[peer].at.seq(), w.parted[peer]
	w.mu.Unlock()
	mine, _ := w.progress.calls()
	switch {
	case theirs != mine:
		return &RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("%w: it closed its communicator after call #%d, this rank after #%d", errOtherCalls, theirs, mine)}
	case last != nil && !last.sameCall(w.progress.last()):
		return &MismatchError{Rank: w.rank, Peer: peer, Local: *w.progress.last(), Remote: *last}
	}
	return &RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("%w until both closed their communicator after call #%d", errOtherCalls, mine)}
}
