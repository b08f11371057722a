package h2

import (
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Message is a message that has begun to come. Until it is read to its end or released,
// its receiver may be the one who reads the connection, on which others wait: whoever
// has a Message takes it without waiting for anything else.
type Message struct {
	s    *Stream
	left int // bytes not taken yet
	held int // bytes of the queue that Next has given out
	open bool
}

// Recv waits for the next message. It is released by the caller, or by the next Recv.
// The end of the stream is io.EOF, or the status that the peer gave.
func (s *Stream) Recv() (*Message, error) {
	m := &s.msg
	m.Release()
	for m.left > 0 { // of one that was not read to its end
		n, err := s.some(m.left, nil)
		if m.left -= n; err != nil {
			return nil, err
		}
	}
	var p [prefixSize]byte
	if n, err := s.fill(p[:]); err != nil {
		if n > 0 {
			err = within(err)
		}
		m.letGo()
		return nil, err
	}
	length := binary.BigEndian.Uint32(p[1:])
	var err error
	switch {
	case p[0] != 0:
		err = status.Errorf(codes.Unimplemented, "a message that is compressed, or not gRPC's (first byte %d)", p[0])
	case uint64(length) > uint64(s.c.opt.MaxMessage):
		err = status.Errorf(codes.ResourceExhausted, "a message of %d bytes, at most %d are taken", length, s.c.opt.MaxMessage)
	}
	if err != nil {
		s.Reset() // where the next message begins is unknown
		m.letGo()
		return nil, err
	}
	m.left, m.open = int(length), true
	return m, nil
}

// Len is the number of bytes that have not been taken yet.
func (m *Message) Len() int { return m.left }

// Next gives the next piece of the message, of at most so many bytes, which is valid until
// the next call; io.EOF behind the last.
func (m *Message) Next(most int) ([]byte, error) {
	s, c := m.s, m.s.c
	m.drop()
	if m.left == 0 {
		return nil, io.EOF
	}
	most = min(most, m.left)
	for !s.leads {
		c.mu.Lock()
		p := s.queue.front(most)
		if p == nil {
			err := s.ready()
			c.mu.Unlock()
			if err != nil {
				return nil, err
			}
			continue
		}
		c.mu.Unlock()
		m.held = len(p)
		m.left -= len(p)
		return p, nil
	}
	p := c.scratch[:min(most, len(c.scratch))]
	n, err := s.fill(p)
	m.left -= n
	if err != nil {
		return nil, within(err)
	}
	return p, nil
}

// Into reads the next len(dst) bytes, straight to where they go.
func (m *Message) Into(dst []byte) error {
	m.drop()
	if len(dst) > m.left {
		return io.ErrUnexpectedEOF
	}
	n, err := m.s.fill(dst)
	m.left -= n
	return within(err)
}

// within says of the end of a stream that it came within a message.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Internal, "the stream ended within a message")
	}
	return err
}

// drop gives back what Next has given out of the queue.
func (m *Message) drop() {
	if m.held == 0 {
		return
	}
	s := m.s
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.used(s.queue.drop(m.held))
	m.held = 0
}

// Release says that the message is not needed any more. What was not read of it is
// skipped.
func (m *Message) Release() {
	if m.open {
		m.drop()
		m.open = false
		m.letGo()
	}
}

// letGo gives up the role of the reader.
func (m *Message) letGo() {
	s := m.s
	if s.leads {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		s.c.release(s)
	}
}

// fill reads len(p) bytes of the stream.
func (s *Stream) fill(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = s.some(len(p)-n, p[n:])
		n += k
	}
	return n, err
}

// ready waits until bytes of the stream wait in its queue or this goroutine leads.
// Conn.mu is held.
func (s *Stream) ready() error {
	if err := s.c.await(s, func(s *Stream) bool { return s.queue.size > 0 || s.end != nil || s.closed }); err != nil {
		return err
	}
	s.stored = s.queue.size > 0
	if s.stored || s.end == nil && !s.closed {
		return nil
	}
	if s.leads { // it became the leader and ended at the same time
		s.c.release(s)
	}
	if s.closed {
		return errReset
	}
	return s.end
}

// some takes up to n bytes of the stream, to dst, or away if that is nil.
func (s *Stream) some(n int, dst []byte) (int, error) {
	c := s.c
	if !s.leads || s.stored {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.queue.size == 0 && !s.leads {
			if err := s.ready(); err != nil {
				return 0, err
			}
		}
		p := s.queue.front(n)
		copy(dst, p)
		n = s.queue.drop(len(p))
		s.stored = s.queue.size > 0
		s.used(n)
		return n, nil
	}
	in := &c.in
	if s.dead.Load() {
		return 0, s.consider(nil)
	}
	if in.left == 0 || in.cur != s {
		if err := c.advance(s); err != nil || in.left == 0 || in.cur != s {
			return 0, s.consider(err)
		}
	}
	n = min(n, in.left)
	if dst == nil {
		n = min(n, len(c.scratch))
		dst = c.scratch
	}
	n, err := c.src.read(dst[:n])
	c.arrived(n)
	if s.direct += n; s.direct >= c.opt.Window/8 {
		c.mu.Lock()
		s.used(s.direct)
		s.direct = 0
		c.mu.Unlock()
	}
	if err != nil {
		return n, s.consider(err)
	}
	return n, nil
}

// consider is what the leader does when something but bytes came: it goes on to lead
// unless its stream or the connection has ended. It gives the error, if there is one,
// that the receiver is told now; the others are told when the queue is empty.
func (s *Stream) consider(err error) error {
	c := s.c
	if err != nil && !interrupted(err) {
		c.fail(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	dead := s.dead.Load()
	if !dead && !s.closed && s.end == nil && c.err == nil {
		c.unpoke()
		return nil
	}
	c.release(s)
	if dead {
		return errReset
	}
	return c.err
}

// used counts n bytes as read, and lets the peer send as many more when they are a
// quarter of the window. Conn.mu is held.
func (s *Stream) used(n int) {
	s.unreported += n
	if s.end != nil || s.dead.Load() || s.unreported < s.c.opt.Window/4 {
		return
	}
	s.allowed += s.unreported
	s.c.out.queue(appendNumber(nil, frameWindow, s.id, uint32(s.unreported)))
	s.unreported = 0
}
