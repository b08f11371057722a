package h2

import (
	"net"
	"os"
	"syscall"
)

// sink writes to a connection. One goroutine uses it at a time.
type sink struct {
	conn net.Conn
	raw  syscall.RawConn // nil: the connection is no socket
	// full is called when the socket takes no more, before the wait: the peer may
	// be waiting as well, until somebody here reads.
	full func()

	attempt func(fd uintptr) bool
	vec     [][]byte // what is left of the write under way
	args    iovecs
	err     error
}

func newSink(c net.Conn, full func()) *sink {
	k := &sink{conn: c, raw: rawConn(c), full: full}
	k.attempt = k.try
	return k
}

// write writes all of vec, unless it fails or a deadline ends it; it gives what is
// left, and changes vec.
func (k *sink) write(vec [][]byte) (rest [][]byte, err error) {
	if k.raw == nil {
		for len(vec) > 0 {
			n, err := k.conn.Write(vec[0])
			if vec[0] = vec[0][n:]; err != nil {
				return vec, err
			}
			vec = vec[1:]
		}
		return nil, nil
	}
	k.vec, k.err = vec, nil
	err = k.raw.Write(k.attempt)
	rest, k.vec = k.vec, nil
	if err == nil {
		err = k.err
	}
	return rest, err
}

// try writes what the socket takes; false lets the runtime wait for it to take more.
func (k *sink) try(fd uintptr) bool {
	for len(k.vec) > 0 {
		n, again, err := k.args.writeSocket(fd, k.vec)
		if again {
			k.full()
			return false
		}
		if err != nil {
			k.err = os.NewSyscallError("writev", err)
			return true
		}
		k.vec = advance(k.vec, n)
	}
	return true
}

// advance drops the first n bytes.
func advance(vec [][]byte, n int) [][]byte {
	for len(vec) > 0 && n >= len(vec[0]) {
		n -= len(vec[0])
		vec[0] = nil
		vec = vec[1:]
	}
	if n > 0 {
		vec[0] = vec[0][n:]
	}
	return vec
}
