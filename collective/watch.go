package collective

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// watch is what a rank knows of the others by their signs of life, and what it
// makes known of itself.
//
// What must always hold: every peer hears this rank once in a heartbeat until
// the communicator ends; a peer that is silent for longer than Options.Silence
// ends it, and so does one that left before a call it is needed in; a peer that
// said goodbye is never called lost or silent. A header is made known before
// the goodbyes are looked at, and hear looks at the header after it stored the
// goodbye, so that one of the two sees both.
type watch struct {
	t          Transport
	rank, size int
	opt        *Options
	failure    *failure
	progress   *progress
	peers      []peer
	alarm      alarm  // of the heartbeat's goroutine
	shares     shares // the same
	stop       chan struct{}
	stopped    sync.WaitGroup
}

// peer is what is known of another rank.
type peer struct {
	heard  atomic.Int64 // time of the last sign of life, nanoseconds since start
	seen   atomic.Pointer[sighting]
	held   atomic.Int64 // nanoseconds that this rank waited for it to come
	left   atomic.Uint64
	leftIs atomic.Bool   // the peer closed; left is its last call
	gone   chan struct{} // closed when the peer closed or was lost
	once   sync.Once
}

// slowWindow is the time over which ranks are compared.
const slowWindow = 20 * time.Second

// begin starts the signs of life.
func (w *watch) begin() {
	w.alarm.after = min(5*time.Second, w.opt.Timeout/4)
	w.shares = shares{window: slowWindow, slow: -1}
	w.peers, w.stop = make([]peer, w.size), make(chan struct{})
	now := int64(time.Since(start))
	for i := range w.peers {
		w.peers[i].gone = make(chan struct{})
		w.peers[i].heard.Store(now)
	}
	w.t.Watch(w.hear, w.lose)
	if w.size > 1 {
		w.stopped.Go(w.beat)
	}
}

// end stops them.
func (w *watch) end() { close(w.stop) }

// hear takes a notice of a peer.
func (w *watch) hear(from int, msg []byte) {
	p := &w.peers[from]
	p.heard.Store(int64(time.Since(start)))
	if len(msg) == 0 {
		return
	}
	switch msg[0] {
	case noticeAlive:
		at, inCalls, in, ok := readSign(msg[1:])
		if !ok {
			return
		}
		p.seen.Store(&sighting{at, time.Since(start), inCalls})
		if in != nil {
			w.compare(from, in)
		}
	case noticeAbort:
		w.failure.end(decodeAbort(w.rank, from, w.size, msg[1:]), false)
	case noticeBye:
		if len(msg) != 9 {
			return
		}
		last := binary.LittleEndian.Uint64(msg[1:])
		p.left.Store(last)
		p.leftIs.Store(true)
		p.once.Do(func() { close(p.gone) })
		if h := w.progress.header.Load(); h != nil && h.Seq > last {
			w.failLeft(from, last)
		}
	}
}

// announce makes the header of the running call known to hear and beat, and
// refuses a call that a peer has left before.
func (w *watch) announce(h *Header) error {
	announced := *h
	w.progress.began.Store(int64(time.Since(start)))
	w.progress.header.Store(&announced)
	// In this order: a goodbye in between is seen here or by hear.
	for i := range w.peers {
		if p := &w.peers[i]; i != w.rank && p.leftIs.Load() && p.left.Load() < h.Seq {
			w.failLeft(i, p.left.Load())
			return errBroken
		}
	}
	return nil
}

// compare looks at the call that a peer says it is in. Ranks that make
// different calls may all wait for frames that nobody is going to send; the
// signs of life find them.
func (w *watch) compare(from int, theirs *Header) {
	mine := w.progress.header.Load()
	if mine != nil && theirs.Seq == mine.Seq && !theirs.sameCall(mine) {
		w.failure.end(&MismatchError{Rank: w.rank, Peer: from, Local: *mine, Remote: *theirs}, true)
	}
}

func (w *watch) failLeft(peer int, last uint64) {
	w.failure.end(&RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("it closed its communicator after call #%d", last)}, false)
}

// lose takes the loss of a peer. After a goodbye it is the expected end.
func (w *watch) lose(peer int, err error) {
	p := &w.peers[peer]
	if !p.leftIs.Load() {
		w.failure.end(&RankError{Rank: w.rank, Peer: peer, Err: fmt.Errorf("connection lost: %w", err)}, false)
	}
	p.once.Do(func() { close(p.gone) })
}

// beat sends signs of life and watches those of the peers.
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
		case <-tick.C:
		}
		now := time.Since(start)
		// After a pause of this process itself (a debugger, a suspended
		// machine) its clocks say nothing about the peers.
		if now-last > 3*w.opt.Heartbeat {
			for i := range w.peers {
				w.peers[i].heard.Store(int64(now))
			}
		}
		w.findLate(now, now-last)
		w.findSlow(now)
		last = now
		w.tell(w.sign(now)) // loss is told by the transport
		if quiet, since := w.quietest(); quiet >= 0 && w.opt.Silence > 0 && since > w.opt.Silence {
			w.failure.end(&RankError{Rank: w.rank, Peer: quiet, Err: fmt.Errorf("no sign of life for %v: frozen or out of reach", since.Round(time.Second/10))}, true)
			return
		}
	}
}

// tell sends a notice to all peers. One that cannot be told is lost to it
// anyway.
func (w *watch) tell(notice []byte) {
	for p := range w.peers {
		if p != w.rank {
			_ = w.t.Notify(p, notice)
		}
	}
}

// sign is the content of a sign of life: the time spent in calls so far, and
// the header of the running call or the number of the latest.
func (w *watch) sign(now time.Duration) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{noticeAlive}, uint64(w.progress.inCalls(now)))
	if h := w.progress.header.Load(); h != nil {
		return h.AppendTo(b)
	}
	return binary.LittleEndian.AppendUint64(b, w.progress.current.Load())
}

// quietest is the peer whose last sign of life is the oldest, and its age;
// peers that said goodbye do not count.
func (w *watch) quietest() (rank int, since time.Duration) {
	rank = -1
	now := time.Since(start)
	for i := range w.peers {
		p := &w.peers[i]
		if i == w.rank || p.leftIs.Load() {
			continue
		}
		if age := now - time.Duration(p.heard.Load()); rank < 0 || age > since {
			rank, since = i, age
		}
	}
	return rank, since
}

// sightings is what is known of all peers.
func (w *watch) sightings() []sighting {
	all := make([]sighting, w.size)
	for i := range w.peers {
		if s := w.peers[i].seen.Load(); s != nil {
			all[i] = *s
		}
	}
	return all
}

// findLate counts the time that the running call waits for late ranks, and
// tells of them: the lowest of the ranks that wait does.
func (w *watch) findLate(now, tick time.Duration) {
	h := w.progress.header.Load()
	if h == nil {
		return
	}
	since := w.progress.sinceBegan()
	late, waiting := holders(h.Seq, w.rank, since, w.opt.Heartbeat, w.sightings())
	for _, r := range late {
		w.peers[r].held.Add(int64(min(tick, now-since)))
	}
	if len(late) > 0 && w.opt.OnLate != nil && slices.Min(waiting) == w.rank && w.alarm.due(h.Seq, now-since) {
		w.opt.OnLate(Late{Call: *h, Ranks: late, Waiting: waiting, For: now - since})
	}
}

// findSlow tells of a rank that is slow; the lowest of the others does.
func (w *watch) findSlow(now time.Duration) {
	if w.opt.OnSlow == nil {
		return
	}
	all := w.sightings()
	all[w.rank] = sighting{when: now, inCalls: w.progress.inCalls(now)}
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

// blame is the peer to name when a call took too long, and why: one that gives
// no sign of life, else one that is alive but has not come to the call, else
// the one waited for.
func (w *watch) blame() (peer int, why string) {
	if quiet, since := w.quietest(); quiet >= 0 && since > 3*w.opt.Heartbeat {
		return quiet, "it hangs, was stopped, or is cut off"
	}
	if h := w.progress.header.Load(); h != nil {
		late, _ := holders(h.Seq, w.rank, w.progress.sinceBegan(), w.opt.Heartbeat, w.sightings())
		if len(late) > 0 {
			return late[0], "it is alive, but has not come to this call"
		}
	}
	return int(w.progress.waiting.Load()), "it hangs, was stopped, or is cut off"
}

// closeGrace is how long Close waits for peers that still work on their last
// call.
const closeGrace = 5 * time.Second

// leave says goodbye and waits until every peer did the same. A peer that is
// still in the last call needs the frames that this end has yet to deliver.
func (w *watch) leave() {
	if w.size == 1 || w.failure.tellLeaving() {
		return
	}
	w.tell(binary.LittleEndian.AppendUint64([]byte{noticeBye}, w.progress.current.Load()))
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	for p := range w.peers {
		if p == w.rank {
			continue
		}
		select {
		case <-w.peers[p].gone:
		case <-w.failure.broken:
			return
		case <-ctx.Done():
			return
		}
	}
}
