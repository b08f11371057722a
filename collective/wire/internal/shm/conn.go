// Package shm moves frames between two processes of one machine through memory that both
// have mapped.
//
// The two hold a unix socket, over which the memory of each lane is passed when it is first
// used (it has no name and is gone with them), and by which the one wakes the other. Everything
// else goes through the memory: for each lane and direction a ring of bytes with one
// writer and one reader. What a peer writes there is hostile input: each number is
// copied once, then checked.
package shm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Options are how an end behaves.
type Options struct {
	MaxPayload int // the longest payload of a frame in bytes
	Ring       int // bytes of a direction of a lane that this end makes: a power of two, MinRing … MaxRing
	// Look is how long a goroutine looks for what it waits for before it sleeps; 0: not at all.
	Look time.Duration
	// Crowded says that more processes than processors wait for each other.
	Crowded bool
}

// Conn is one end of a pair of processes.
//
// What must always hold: the calling end alone makes lanes; the socket is read by one
// goroutine, which Close waits for; when it ends all lanes are lost; and nothing that is
// sent over it to wake the peer waits for the peer.
type Conn struct {
	opt    Options
	c      *net.UnixConn
	raw    syscall.RawConn
	accept func(id uint32, l *Lane) bool // nil at the calling end
	bell   func(fd uintptr)              // rings, once made: a closure for each would be allocated
	done   chan struct{}

	mu      sync.Mutex
	lanes   map[*Lane]bool
	over    bool                 // no more lanes
	answers map[uint32]chan bool // that Open waits for, by lane
}

// New takes over a connection whose ends know each other. Lanes that the peer makes are
// given to accept, which reports whether it takes them; nil at the calling end, which makes
// them.
func New(c *net.UnixConn, opt Options, accept func(id uint32, l *Lane) bool) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	n := &Conn{opt: opt, c: c, raw: raw, accept: accept, bell: ringOn, done: make(chan struct{}),
		lanes: map[*Lane]bool{}, answers: map[uint32]chan bool{}}
	go n.read()
	return n, nil
}

// ring wakes the peer's sleepers that have been taken off their words.
func (c *Conn) ring() { _ = c.raw.Control(c.bell) } // a connection that has ended wakes nobody

var errRefused = errors.New("the peer does not take the lane")

// Open makes a lane and waits until the peer has taken it.
func (c *Conn) Open(ctx context.Context, id uint32) (*Lane, error) {
	f, mem, err := create(c.opt.Ring)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, answer := newLane(c, id, mem, true), make(chan bool, 1)
	c.mu.Lock()
	refused := c.over || c.answers[id] != nil
	if !refused {
		c.lanes[l], c.answers[id] = true, answer
	}
	c.mu.Unlock()
	if refused {
		l.Reset()
		return nil, errOver
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.answers, id)
	}()
	msg := binary.LittleEndian.AppendUint32([]byte{msgOffer}, id)
	if err = c.send(binary.LittleEndian.AppendUint32(msg, uint32(c.opt.Ring)), f); err == nil {
		select {
		case yes := <-answer:
			if yes {
				return l, nil
			}
			err = errRefused
		case <-c.done:
			err = errLost
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	l.Reset()
	return nil, err
}

// forget drops a lane that has ended.
func (c *Conn) forget(l *Lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lanes, l)
}

// all lists the lanes.
func (c *Conn) all() (ls []*Lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.lanes {
		ls = append(ls, l)
	}
	return ls
}

// Break ends all lanes at this end, now and later.
func (c *Conn) Break() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	for _, l := range c.all() {
		l.Reset()
	}
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends the lanes at this end and the connection, and waits for its goroutine.
func (c *Conn) Close() {
	c.Break()
	c.fail()
	<-c.done
}

// fail ends the connection, and so at the other end, too.
func (c *Conn) fail() { _ = c.c.Close() } // again, or of a peer that is gone: all the same

// read does what the peer says until one of the two ends the connection.
func (c *Conn) read() {
	defer close(c.done)
	defer func() {
		for _, l := range c.all() {
			l.lose()
		}
	}()
	defer c.c.Close()
	var in inbox
	defer in.close()
	for in.receive(c.raw, c.stir) == nil {
		for {
			m, ok, err := in.next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			if err := c.handle(m); err != nil {
				return
			}
		}
	}
}

// stir wakes those whose word the peer has taken.
func (c *Conn) stir() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.lanes {
		for _, s := range []*sleeper{&l.room, &l.data} {
			if s.asleep.Load() && s.asks.Load() == 0 {
				s.wake()
			}
		}
		if l.in.writerLeft.Load() != 0 || l.out.readerLeft.Load() != 0 {
			l.room.wake()
			l.data.wake()
		}
	}
}

// handle does what a message of the peer asks for.
func (c *Conn) handle(m message) error {
	switch m.kind {
	case msgOffer:
		return c.take(m)
	case msgYes, msgNo:
		c.mu.Lock()
		answer := c.answers[m.lane]
		delete(c.answers, m.lane)
		c.mu.Unlock()
		if answer == nil {
			return fmt.Errorf("an answer about lane %d that nobody waits for", m.lane)
		}
		answer <- m.kind == msgYes
	}
	return nil
}

// take takes a lane that the peer offers.
func (c *Conn) take(m message) error {
	defer func() {
		if m.file != nil {
			m.file.Close()
		}
	}()
	if c.accept == nil {
		return errors.New("the peer offers a lane, which is not its part")
	}
	verdict := msgNo
	if m.file != nil { // else this process has no room for the file descriptor
		mem, err := open(m.file, int(m.ring))
		if err != nil {
			return err
		}
		l := newLane(c, m.lane, mem, false)
		c.mu.Lock()
		over := c.over
		if !over {
			c.lanes[l] = true
		}
		c.mu.Unlock()
		if !over && c.accept(m.lane, l) {
			verdict = msgYes
		} else {
			l.Reset()
		}
	}
	return c.send(binary.LittleEndian.AppendUint32([]byte{verdict}, m.lane), nil)
}

// send sends a message, with a file descriptor if there is one.
func (c *Conn) send(msg []byte, f *os.File) error {
	var rights []byte
	if f != nil {
		rights = rightsOf(f)
	}
	_, _, err := c.c.WriteMsgUnix(msg, rights, nil)
	return err
}
