package collective

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// noteGrace is how long a broken stream waits for the note that explains it: a
// peer that gives up sends its reason and only then drops its streams.
const noteGrace = 500 * time.Millisecond

// fail ends the communicator with its first cause. With tell the peers learn
// of it at once. Of causes that came from a peer, or that every rank sees
// itself, they are told again when this rank closes, so that none takes its
// leaving for the cause.
func (c *Comm) fail(cause error, tell bool) {
	isFirst := false
	c.failing.Do(func() {
		c.cause, isFirst = cause, true
		c.told.Store(tell)
	})
	// Outside of the once: a peer may fail in the same moment and tell back.
	if !isFirst {
		return
	}
	// Before anybody here learns of it: who does may close the communicator,
	// and the peers would take its leaving for the cause.
	if tell && c.t != nil {
		c.tellCause()
	}
	close(c.broken)
	if c.t != nil {
		c.t.Break()
	}
}

func (c *Comm) tellCause() {
	note := encodeAbort(c.rank, c.cause)
	for p := range c.peers {
		if p != c.rank {
			_ = c.t.Notify(p, note) // best effort: a peer out of reach has its own deadline
		}
	}
}

// failure is the first cause in the words of one call.
func (c *Comm) failure(call Call, seq uint64) error {
	<-c.broken
	c.reported.Store(true)
	var re *RankError
	if errors.As(c.cause, &re) && re.Op == 0 {
		named := *re
		named.Op, named.Seq = call, seq
		return &named
	}
	return c.cause
}

// unreported is a disagreement of the ranks that came to light after the last
// call of this one had ended well.
func (c *Comm) unreported() error {
	select {
	case <-c.broken:
	default:
		return nil
	}
	var m *MismatchError
	if !c.reported.Load() && errors.As(c.cause, &m) {
		return m
	}
	return nil
}

// trouble turns an error of the transport into the communicator's failure.
func (c *Comm) trouble(peer int, err error) {
	t := time.NewTimer(min(noteGrace, c.opt.Timeout/4))
	defer t.Stop()
	select {
	case <-c.broken:
	case <-t.C:
		c.fail(&RankError{Rank: c.rank, Peer: peer, Err: err}, true)
	}
}

// hear takes a notice of a peer.
func (c *Comm) hear(from int, msg []byte) {
	p := &c.peers[from]
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
			c.compare(from, in)
		}
	case noticeAbort:
		c.fail(decodeAbort(c.rank, from, c.size, msg[1:]), false)
	case noticeBye:
		if len(msg) != 9 {
			return
		}
		last := binary.LittleEndian.Uint64(msg[1:])
		p.left.Store(last)
		p.leftIs.Store(true)
		p.once.Do(func() { close(p.gone) })
		if h := c.header.Load(); h != nil && h.Seq > last {
			c.failLeft(from, last)
		}
	}
}

// announce makes the header of the running call known to hear and beat, and
// refuses a call that a peer has left before.
func (c *Comm) announce(h *Header) error {
	announced := *h
	c.began.Store(int64(time.Since(start)))
	c.header.Store(&announced)
	// In this order: a goodbye in between is seen here or by hear.
	for i := range c.peers {
		if p := &c.peers[i]; i != c.rank && p.leftIs.Load() && p.left.Load() < h.Seq {
			c.failLeft(i, p.left.Load())
			return errBroken
		}
	}
	return nil
}

// compare looks at the call that a peer says it is in. Ranks that make
// different calls may all wait for frames that nobody is going to send; the
// signs of life find them.
func (c *Comm) compare(from int, theirs *Header) {
	mine := c.header.Load()
	if mine != nil && theirs.Seq == mine.Seq && !theirs.sameCall(mine) {
		c.fail(&MismatchError{Rank: c.rank, Peer: from, Local: *mine, Remote: *theirs}, true)
	}
}

func (c *Comm) failLeft(peer int, last uint64) {
	c.fail(&RankError{Rank: c.rank, Peer: peer, Err: fmt.Errorf("it closed its communicator after call #%d", last)}, false)
}

// PeerLost ends the communicator because a peer is known to be lost, by other
// ways than this one: calls return a *RankError that names it. A peer that has
// said goodbye is not missed.
func (c *Comm) PeerLost(peer int, err error) {
	if c.size > 1 && !c.peers[peer].leftIs.Load() {
		c.fail(&RankError{Rank: c.rank, Peer: peer, Err: err}, true)
	}
}

// lose takes the loss of a peer. After a goodbye it is the expected end.
func (c *Comm) lose(peer int, err error) {
	p := &c.peers[peer]
	if !p.leftIs.Load() {
		c.fail(&RankError{Rank: c.rank, Peer: peer, Err: fmt.Errorf("connection lost: %w", err)}, false)
	}
	p.once.Do(func() { close(p.gone) })
}

// beat sends signs of life and watches those of the peers.
func (c *Comm) beat() {
	tick := time.NewTicker(c.opt.Heartbeat)
	defer tick.Stop()
	last := time.Since(start)
	for {
		select {
		case <-c.stop:
			return
		case <-c.broken:
			return
		case <-tick.C:
		}
		now := time.Since(start)
		// After a pause of this process itself (a debugger, a suspended
		// machine) its clocks say nothing about the peers.
		if now-last > 3*c.opt.Heartbeat {
			for i := range c.peers {
				c.peers[i].heard.Store(int64(now))
			}
		}
		c.lookForLate(now, now-last)
		c.lookForSlow(now)
		last = now
		alive := c.sign(now)
		for i := range c.peers {
			if i != c.rank {
				_ = c.t.Notify(i, alive) // loss is told by the transport
			}
		}
		if quiet, since := c.quietest(); quiet >= 0 && c.opt.Silence > 0 && since > c.opt.Silence {
			c.fail(&RankError{Rank: c.rank, Peer: quiet, Err: fmt.Errorf("no sign of life for %v: frozen or out of reach", since.Round(time.Second/10))}, true)
			return
		}
	}
}

// quietest is the peer whose last sign of life is the oldest, and its age;
// peers that said goodbye do not count.
func (c *Comm) quietest() (rank int, since time.Duration) {
	rank = -1
	now := time.Since(start)
	for i := range c.peers {
		p := &c.peers[i]
		if i == c.rank || p.leftIs.Load() {
			continue
		}
		if age := now - time.Duration(p.heard.Load()); rank < 0 || age > since {
			rank, since = i, age
		}
	}
	return rank, since
}
