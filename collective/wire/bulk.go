package wire

import (
	"net"
	"sync"
)

// bulk is what lies between TLS and the socket. Package tls makes a system call for each
// record of 16 KiB, in both directions; here many records leave and come with one.
//
// What must always hold: bytes leave in the order in which they were written; none wait
// when nobody is within hold and release; and one goroutine reads.
type bulk struct {
	net.Conn

	mu   sync.Mutex // guards what follows
	held int        // who is between hold and release
	out  []byte     // what waits

	in     []byte
	lo, hi int // in[lo:hi] has been read from the socket and not taken
}

const (
	// outSize is about what leaves at once: enough for a system call to cost little beside it,
	// and little enough for the peer to begin with it while the rest is encrypted.
	outSize = 128 << 10
	inSize  = 128 << 10
)

// hold lets what is written wait until release.
func (b *bulk) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held++
}

// release sends what waits.
func (b *bulk) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held--
	return b.flush()
}

// flush sends what waits; mu is held.
func (b *bulk) flush() error {
	if len(b.out) == 0 {
		return nil
	}
	_, err := b.Conn.Write(b.out)
	b.out = b.out[:0]
	return err
}

func (b *bulk) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out = append(b.out, p...)
	if b.held > 0 && len(b.out) < outSize {
		return len(p), nil
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (b *bulk) Read(p []byte) (int, error) {
	if b.lo == b.hi {
		if b.in == nil {
			b.in = make([]byte, inSize)
		}
		n, err := b.Conn.Read(b.in)
		if n == 0 {
			return 0, err
		}
		b.lo, b.hi = 0, n // an error comes again
	}
	n := copy(p, b.in[b.lo:b.hi])
	b.lo += n
	return n, nil
}
