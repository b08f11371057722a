package discovery

import (
	"context"
	"errors"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's own, with bounds for callers nobody knows yet:
// connections are limited in number, the oldest goes first, and in what they
// may send. Calls to addresses that do not answer end when it is shut down.
type transport struct {
	*memberlist.NetTransport
	ctx     context.Context
	cancel  context.CancelFunc
	streams chan net.Conn
	wg      sync.WaitGroup

	mu   sync.Mutex
	open []*stream // oldest first
	most int
}

// callers is how many connections may be open beyond two for each agent.
const callers = 32

// listenOn starts a transport. Where any port will do it may take some tries:
// TCP and UDP need the same.
func listenOn(addr string, port, nodes int, logger *log.Logger) (*transport, error) {
	tries := 1
	if port == 0 {
		tries = 10
	}
	var nt *memberlist.NetTransport
	var err error
	for range tries {
		if nt, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{addr}, BindPort: port, Logger: logger}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	t := &transport{NetTransport: nt, streams: make(chan net.Conn), most: 2*nodes + callers}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.accept)
	return t, nil
}

func (t *transport) accept() {
	for {
		select {
		case c := <-t.NetTransport.StreamCh():
			s := t.admit(c)
			select {
			case t.streams <- s:
			case <-t.ctx.Done():
				s.Close()
				return
			}
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *transport) admit(c net.Conn) *stream {
	s := &stream{Conn: c, t: t, left: MaxMessage + 64<<10}
	var oldest *stream
	t.mu.Lock()
	if len(t.open) == t.most {
		oldest = t.open[0]
	}
	t.open = append(t.open, s)
	t.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
	return s
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(t.ctx, "tcp", addr)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown implements memberlist.Transport.
func (t *transport) Shutdown() error {
	err := t.NetTransport.Shutdown() // before nobody takes its connections
	t.cancel()
	t.wg.Wait()
	return err
}

// stream is a connection of a caller.
type stream struct {
	net.Conn
	t    *transport
	left int
}

var errTooLong = errors.New("discovery: the caller says more than any agent would")

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTooLong
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.t.mu.Lock()
	if i := slices.Index(s.t.open, s); i >= 0 {
		s.t.open = slices.Delete(s.t.open, i, i+1)
	}
	s.t.mu.Unlock()
	return s.Conn.Close()
}
