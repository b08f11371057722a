package h2

import (
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// take waits for credit and takes some of want bytes; frame is the longest that the peer
// takes.
func (s *Stream) take(want int) (n, frame int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.dead.Load():
			return 0, 0, errReset
		case c.err != nil:
			return 0, 0, c.err
		case s.muted && s.end != nil && !errors.Is(s.end, io.EOF):
			return 0, 0, s.end
		case s.muted:
			return 0, 0, status.Error(codes.Unavailable, "the stream has ended")
		case !s.answered:
			return 0, 0, status.Error(codes.FailedPrecondition, "the stream has not been answered")
		}
		if n = min(want, s.credit, c.credit); n > 0 {
			s.credit -= n
			c.credit -= n
			return n, min(c.peer.frame, c.opt.MaxFrame), nil
		}
		c.starving++
		c.needReader()
		c.room.Wait()
		c.starving--
	}
}

// Send sends one message, in two parts so that what is put before the caller's memory
// needs no copy of it. Both may be written again when it returns: the socket has the
// bytes then. It waits while the peer takes no more.
func (s *Stream) Send(first, second []byte) error {
	total := len(first) + len(second)
	s.buf = append(s.buf[:0], make([]byte, prefixSize)...)
	binary.BigEndian.PutUint32(s.buf[1:], uint32(total))
	s.buf = append(s.buf, first...)
	rest := [2][]byte{s.buf, second}
	for total += prefixSize; total > 0; {
		n, frame, err := s.take(min(total, s.c.out.pace.get()))
		if err != nil {
			return err
		}
		total -= n
		vec := s.frames(n, frame, &rest)
		if err = s.c.out.send(s, vec); err != nil {
			if !errors.Is(err, errReset) {
				s.c.fail(err)
			}
			return err
		}
	}
	return nil
}

// frames cuts n bytes into DATA frames.
func (s *Stream) frames(n, most int, rest *[2][]byte) [][]byte {
	heads, vec := s.heads[:0], s.vec[:0]
	for n > 0 {
		k := min(n, most)
		n -= k
		at := len(heads)
		heads = header{length: k, kind: frameData, stream: s.id}.appendTo(heads)
		vec = append(vec, heads[at:])
		for i := range rest {
			if m := min(k, len(rest[i])); m > 0 {
				vec = append(vec, rest[i][:m])
				rest[i] = rest[i][m:]
				k -= m
			}
		}
	}
	s.heads, s.vec = heads, vec
	return vec
}
