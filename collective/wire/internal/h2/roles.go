package h2

import (
	"slices"
	"time"
)

// roles say who reads a connection: one goroutine at a time, the leader.
//
// Whoever waits for a message reads the connection itself, so that the message comes
// without a change of goroutines and goes where it is wanted without a copy. What it
// finds of other streams it stores for them. The others that wait follow: when the
// leader has its message the role passes to one of them. The idle reader, a goroutine
// of the connection, leads when nobody waits, so that control frames and the end of
// the connection are noticed at all times. It takes the role only when nobody has had
// it for a moment (idleAfter), or at once when a sender cannot go on, and gives it
// back when somebody comes who waits.
//
// What must always hold (under Conn.mu): there is at most one leader; who waits is in
// waiting, or is of the background, or leads; and where there is no leader and bytes
// may come, the idle reader looks again within idleAfter.
type roles struct {
	leader  *Stream // nil: nobody
	idler   *Stream // stands for the idle reader
	waiting []*Stream
	uses    uint64 // how often a receiver took the role
	poked   bool   // the socket's deadline was set to end the leader's wait
	dormant bool   // the idle reader sleeps until it is called
	urgent  bool   // the idle reader is to take the role at once
	call    chan struct{}
}

// idleAfter is how long nobody leads before the idle reader does: long beside the
// time between two messages of a call, short beside what waits for control frames.
const idleAfter = time.Millisecond

func (r *roles) init() {
	r.idler, r.call, r.urgent = &Stream{}, make(chan struct{}, 1), true
}

// stir wakes the idle reader.
func (r *roles) stir() {
	r.dormant = false
	select {
	case r.call <- struct{}{}:
	default:
	}
}

// await returns when s leads, or when ready. Conn.mu is held, and released while it
// waits.
func (c *Conn) await(s *Stream, ready func(*Stream) bool) error {
	r := &c.roles
	for {
		err := c.err
		if s.dead.Load() {
			err = errReset
		}
		switch {
		case err != nil && !ready(s), s.dead.Load():
			if r.leader == s {
				c.release(s)
			}
			return err
		case r.leader == s:
			s.leads = true
			return nil
		case ready(s):
			return nil
		case r.leader == nil && !s.background:
			r.leader, s.leads, r.urgent = s, true, false
			r.uses++
			return nil
		}
		if !s.background {
			r.waiting = append(r.waiting, s)
			if r.leader == r.idler {
				c.poke()
			}
		}
		c.mu.Unlock()
		<-s.wake
		c.mu.Lock()
		if i := slices.Index(r.waiting, s); i >= 0 {
			r.waiting = slices.Delete(r.waiting, i, i+1)
		}
	}
}

// poke ends the leader's wait for the socket. Conn.mu is held.
func (c *Conn) poke() {
	if !c.roles.poked {
		c.roles.poked = true
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // fails when the connection is closed, which ends the wait too
	}
}

// unpoke lets the socket be waited for again. Conn.mu is held.
func (c *Conn) unpoke() {
	if c.roles.poked {
		c.roles.poked = false
		_ = c.conn.SetReadDeadline(time.Time{}) // as above
	}
}

// release gives the role of a leader to one that waits, or to nobody. Conn.mu is held.
func (c *Conn) release(s *Stream) {
	r := &c.roles
	s.leads = false
	c.unpoke()
	r.leader = nil
	switch {
	case len(r.waiting) > 0:
		r.leader = r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		r.urgent = false
		r.uses++
		r.leader.wakeUp()
	case c.starving > 0:
		r.urgent = true
		r.stir()
	case r.dormant:
		r.stir()
	}
}

// wantReader sees to it that somebody reads: the caller is about to wait for the peer,
// which may be waiting for this end.
func (c *Conn) wantReader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.needReader()
}

func (c *Conn) needReader() {
	if r := &c.roles; r.leader == nil {
		r.urgent = true
		r.stir()
	}
}

// readIdle is the idle reader.
func (c *Conn) readIdle() {
	r := &c.roles
	tick := time.NewTimer(idleAfter)
	defer tick.Stop()
	seen := uint64(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		if r.leader == nil && (r.urgent || r.uses == seen) {
			r.leader, r.urgent = r.idler, false
			c.mu.Unlock()
			err := c.advance(nil)
			if !interrupted(err) {
				c.fail(err)
			}
			c.mu.Lock()
			c.release(r.idler)
		}
		// A receiver that has led all the time needs nobody beside it.
		r.dormant = r.leader != nil && r.uses == seen
		seen = r.uses
		var wait <-chan time.Time
		if !r.dormant {
			tick.Reset(idleAfter)
			wait = tick.C
		}
		c.mu.Unlock()
		called := false
		select {
		case <-r.call:
			called = true
		case <-wait:
		}
		c.mu.Lock()
		if called && !r.urgent { // somebody led until now: idleAfter begins
			seen = r.uses - 1
		}
	}
}
