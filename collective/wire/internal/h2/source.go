package h2

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// aheadSize holds any frame that is not DATA, and a small message with all that
	// belongs to it: both come with one system call.
	aheadSize = 16 << 10
	// peekSize is what is read beyond the end of long payloads: the beginning of
	// the next frame, and no more, since what is read ahead is copied.
	peekSize = 128
	longRead = 4 << 10
)

// source reads from a connection: into the caller's memory and, with the same
// system call, a little further ahead. One goroutine uses it at a time. An
// interrupted read loses nothing.
type source struct {
	conn   net.Conn
	raw    syscall.RawConn // nil: the connection is no socket
	ahead  []byte
	lo, hi int // ahead[lo:hi] has been read and not taken

	// The read under way: fields, because a closure for each would be allocated.
	attempt func(fd uintptr) bool
	vec     [2][]byte
	args    iovecs
	n       int
	err     error
	patient bool // the caller does not spin
	spin    spinner
}

func newSource(c net.Conn, spin time.Duration) *source {
	s := &source{conn: c, spin: spinner{limit: spin}, ahead: make([]byte, aheadSize)}
	s.raw = rawConn(c)
	s.attempt = s.try
	return s
}

// peek gives the next n bytes, at most aheadSize, without taking them.
func (s *source) peek(n int) ([]byte, error) {
	for s.hi-s.lo < n {
		if len(s.ahead)-s.lo < n {
			s.hi = copy(s.ahead, s.ahead[s.lo:s.hi])
			s.lo = 0
		}
		k, err := s.readv(s.ahead[s.hi:], nil)
		s.hi += k
		if err != nil {
			return nil, err
		}
	}
	return s.ahead[s.lo : s.lo+n], nil
}

// take drops n bytes that were peeked at.
func (s *source) take(n int) {
	if s.lo += n; s.lo == s.hi {
		s.lo, s.hi = 0, 0
	}
}

// read reads at least one byte.
func (s *source) read(dst []byte) (int, error) {
	if s.lo < s.hi {
		n := copy(dst, s.ahead[s.lo:s.hi])
		s.take(n)
		return n, nil
	}
	further := s.ahead
	if len(dst) >= longRead {
		further = s.ahead[:peekSize]
	}
	n, err := s.readv(dst, further)
	if n > len(dst) {
		s.lo, s.hi = 0, n-len(dst)
		n = len(dst)
	}
	return n, err
}

// readv waits for bytes and reads them into a, then into b.
func (s *source) readv(a, b []byte) (int, error) {
	if s.raw == nil {
		n, err := s.conn.Read(a)
		if n > 0 {
			err = nil // it comes again
		}
		return n, err
	}
	s.vec, s.n, s.err = [2][]byte{a, b}, 0, nil
	s.spin.reset()
	if err := s.raw.Read(s.attempt); err != nil {
		return 0, err
	}
	s.vec = [2][]byte{}
	if s.err == nil && s.n == 0 {
		s.err = io.EOF
	}
	return s.n, s.err
}

// try asks the socket once, or for a while; false lets the runtime wait for it.
func (s *source) try(fd uintptr) bool {
	for {
		n, again, err := s.args.readSocket(fd, s.vec[:])
		if !again {
			if s.spin.waiting() {
				s.spin.over(time.Now())
			}
			s.n, s.err = n, os.NewSyscallError("readv", err)
			return true
		}
		now := time.Now()
		if s.patient || !s.spin.again(now) {
			return false
		}
		s.spin.giveWay(now)
	}
}
