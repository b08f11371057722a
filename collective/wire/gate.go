package wire

import (
	"net"
	"slices"
	"sync"
)

// gate is a listener that bounds the connections which have not proven
// themselves: when there are too many the oldest is closed, so that strangers
// who say nothing cost little and keep nobody out who knows the token.
type gate struct {
	net.Listener
	most int

	mu      sync.Mutex
	waiting []*pending // oldest first
	closed  bool
}

// pending is a connection that came through the gate.
type pending struct {
	net.Conn
	gate *gate
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := &pending{c, g}
	var oldest *pending
	g.mu.Lock()
	if g.closed {
		oldest = p // gRPC drops it when it sees it closed
	} else {
		if len(g.waiting) == g.most {
			oldest, g.waiting = g.waiting[0], g.waiting[1:]
		}
		g.waiting = append(g.waiting, p)
	}
	g.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
	}
	return p, nil
}

// release says that a connection is proven, or closed.
func (g *gate) release(p *pending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// Close implements net.Listener. It closes the unproven connections with it:
// nobody who ends waits for a stranger.
func (g *gate) Close() error {
	g.mu.Lock()
	g.closed = true
	waiting := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, p := range waiting {
		p.Conn.Close()
	}
	return g.Listener.Close()
}

// Close implements net.Conn.
func (p *pending) Close() error {
	p.gate.release(p)
	return p.Conn.Close()
}
