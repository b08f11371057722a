package shm

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"vgid/collective/frame"
)

// How a lane has ended, or not.
const (
	isOpen int32 = iota
	isLost       // the peer is gone; what it wrote can be read
	isOver       // this end uses the lane no more
)

// Errors of a lane that has ended.
var (
	errOver = errors.New("this end has closed the lane")
	errLost = errors.New("the connection is closed")
	errLeft = errors.New("the peer has closed the lane")
)

// publishBytes is how much of a long payload is written before the reader is told: it reads
// the one part while the next is written, from the cache of the processor.
const publishBytes = 64 << 10

// Lane is one end of a lane: a ring for each direction. One goroutine sends and one
// receives.
//
// What must always hold: what a frame says of itself is copied out of the shared
// memory once, and checked; the memory stays mapped while a goroutine sends or a
// frame that was received has not been released; and when the lane has ended at this end
// nothing waits in it.
type Lane struct {
	id    uint32
	conn  *Conn
	mem   []byte
	state atomic.Int32
	uses  atomic.Int32 // that need the memory mapped: the lane's own, a Send, a received frame
	over  sync.Once

	// The sender's.
	out  writer
	room sleeper
	head []byte

	// The receiver's.
	in       reader
	data     sleeper
	received frame.Frame
	body     body
	free     func()
}

func newLane(c *Conn, id uint32, mem []byte, creator bool) *Lane {
	mine, theirs := 0, 1
	if !creator {
		mine, theirs = 1, 0
	}
	l := &Lane{id: id, conn: c, mem: mem, out: newWriter(mem, mine), in: newReader(mem, theirs)}
	l.room.init(l.out.writerAsks)
	l.data.init(l.in.readerAsks)
	l.body.l, l.free = l, l.body.release
	l.uses.Store(1)
	return l
}

// use keeps the memory mapped, or says that it is not any more.
func (l *Lane) use() bool {
	for {
		n := l.uses.Load()
		if n == 0 {
			return false
		}
		if l.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *Lane) unuse() {
	if l.uses.Add(-1) == 0 {
		unmap(l.mem)
	}
}

// Send copies a frame to the ring, waiting for room while the peer takes nothing.
func (l *Lane) Send(h *frame.Header, payload []byte, sent *frame.Inflight) error {
	defer sent.Done()
	if !l.use() {
		return errOver
	}
	defer l.unuse()
	if l.state.Load() == isOpen && l.out.readerLeft.Load() != 0 {
		return errLeft
	}
	l.head = append(h.AppendTo(l.head[:0]), zeros[:headSize-frame.HeaderSize]...)
	fill := zeros[:padding(len(payload))]
	err := l.write(l.head, len(payload)+len(fill))
	if err == nil {
		err = l.write(payload, len(fill))
	}
	if err == nil {
		err = l.write(fill, 0)
	}
	if err != nil {
		return l.damaged(err)
	}
	l.publish()
	return nil
}

// write copies bytes to the ring; so many more of the frame follow.
func (l *Lane) write(p []byte, more int) error {
	for len(p) > 0 {
		n, err := l.out.put(p[:min(len(p), publishBytes)])
		if err != nil {
			return err
		}
		p = p[n:]
		if len(p) > 0 {
			l.publish()
		}
		if n == 0 {
			if err := l.waitForRoom(len(p) + more); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lane) publish() {
	if l.out.publish() {
		l.conn.ring()
	}
}

// waitForRoom waits until a frame goes on that lacks so many bytes: not for a few, or the two
// ends would wake each other all the time.
func (l *Lane) waitForRoom(bytes int) error {
	need := min(bytes, len(l.out.data)/2)
	var err error
	l.conn.wait(&l.room, uint32(need), func() bool {
		var n int
		n, err = l.out.room()
		return n >= need || err != nil || l.state.Load() != isOpen || l.out.readerLeft.Load() != 0
	})
	switch s := l.state.Load(); {
	case err != nil:
		return err
	case s == isOver:
		return errOver
	case s == isLost:
		return errLost
	case l.out.readerLeft.Load() != 0:
		return errLeft
	}
	return nil
}

// waitForData waits for the first of the bytes that are due, and until there are enough of
// them to be worth waking up for.
func (l *Lane) waitForData(due, enough int) error {
	need := min(due, enough)
	if n, err := l.in.ready(); n >= need || err != nil {
		return err
	}
	return l.sleepForData(need)
}

func (l *Lane) sleepForData(need int) error {
	var n int
	var err error
	l.conn.wait(&l.data, uint32(need), func() bool {
		n, err = l.in.ready()
		return n >= need || err != nil || l.state.Load() != isOpen || l.in.writerLeft.Load() != 0
	})
	if err != nil {
		return err
	}
	s, left := l.state.Load(), l.in.writerLeft.Load() != 0
	// Once more, as the last bytes may have come before the end did.
	if n, err = l.in.ready(); err != nil || s != isOver && n >= need {
		return err
	}
	switch {
	case s == isOver:
		return errOver
	case s == isLost:
		return errLost
	case left:
		return errLeft
	}
	return nil
}

// Recv gives the next frame, whose payload is read from the ring as it comes in.
func (l *Lane) Recv() (*frame.Frame, error) {
	if !l.use() {
		return nil, errOver
	}
	h, err := l.header()
	if err != nil {
		err = l.damaged(err)
		l.unuse()
		return nil, err
	}
	l.body.left, l.body.held = int(h.Length), 0
	l.received = frame.Frame{Header: h, Body: &l.body, Free: l.free}
	return &l.received, nil
}

// header takes the header of the next frame, behind what was not read of the last.
func (l *Lane) header() (frame.Header, error) {
	for l.body.rest > 0 {
		if err := l.waitForData(l.body.rest, wakeBytes); err != nil {
			return frame.Header{}, err
		}
		n, err := l.in.ready()
		if err != nil {
			return frame.Header{}, err
		}
		n = min(n, l.body.rest)
		l.body.rest -= n
		l.take(n)
	}
	var raw [headSize]byte
	for n := 0; n < len(raw); {
		if err := l.waitForData(len(raw)-n, len(raw)); err != nil {
			return frame.Header{}, err
		}
		k := copy(raw[n:], l.in.piece(len(raw)-n))
		l.in.tail += uint64(k) // told to the writer with the payload
		n += k
	}
	h, err := frame.DecodeHeader(raw[:])
	if err == nil && int64(h.Length) > int64(l.conn.opt.MaxPayload) {
		err = fmt.Errorf("the peer sends a frame of %d bytes, at most %d are allowed", h.Length, l.conn.opt.MaxPayload)
	}
	// The payload and what it is padded with.
	l.body.rest = int(h.Length) + padding(int(h.Length))
	return h, err
}

// take gives bytes back to the writer.
func (l *Lane) take(n int) {
	if l.in.free(n) {
		l.conn.ring()
	}
}

// damaged ends the connection of a peer that breaks the rules.
func (l *Lane) damaged(err error) error {
	switch {
	case errors.Is(err, errOver), errors.Is(err, errLeft), errors.Is(err, errLost):
	default:
		l.conn.fail()
		return &frame.BadFrameError{Err: err}
	}
	return err
}

// Leave says that this end uses the lane no more. What it sent arrives; what comes is
// dropped.
func (l *Lane) Leave() { l.end(true) }

// Reset ends the lane at this end; the peer learns of it by other ways.
func (l *Lane) Reset() { l.end(false) }

func (l *Lane) end(say bool) {
	l.over.Do(func() {
		l.state.Store(isOver)
		if say {
			l.out.writerLeft.Store(1)
			l.in.readerLeft.Store(1)
			l.conn.ring()
		}
		l.conn.forget(l)
		l.room.wake()
		l.data.wake()
		l.unuse()
	})
}

// lose says that the peer is gone.
func (l *Lane) lose() {
	l.state.CompareAndSwap(isOpen, isLost)
	l.room.wake()
	l.data.wake()
}

// body is the payload of the frame that was received last; it implements frame.Body.
type body struct {
	l    *Lane
	left int // bytes of the payload that were not given
	held int // bytes that were given and not freed
	rest int // bytes in the ring that were not freed, with the padding
}

// wakeBytes is how much of a payload the receiver waits for before it goes on.
const wakeBytes = 64 << 10

func (b *body) Len() int { return b.left }

// Next gives the next piece where it lies in the ring.
func (b *body) Next(most int) ([]byte, error) {
	b.freeHeld()
	if b.left == 0 {
		return nil, io.EOF
	}
	if err := b.l.waitForData(b.left, wakeBytes); err != nil {
		return nil, b.l.damaged(err)
	}
	p := b.l.in.piece(min(most, b.left, publishBytes))
	b.held = len(p)
	b.left -= len(p)
	return p, nil
}

// freeHeld gives the last piece back.
func (b *body) freeHeld() {
	if b.held > 0 {
		b.rest -= b.held
		b.l.take(b.held)
		b.held = 0
	}
}

// Into copies the next bytes of the payload.
func (b *body) Into(dst []byte) error {
	for len(dst) > 0 {
		p, err := b.Next(len(dst))
		if err != nil {
			return err
		}
		dst = dst[copy(dst, p):]
	}
	return nil
}

// release gives back the frame. What was not read of it is skipped when the next is
// received.
func (b *body) release() {
	b.freeHeld()
	if b.left == 0 {
		b.l.take(b.rest) // the padding
		b.rest = 0
	}
	b.l.unuse()
}
