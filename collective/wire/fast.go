package wire

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"vgid/collective/frame"
	"vgid/collective/wire/internal/h2"
)

// fast is the endpoint of package h2.
type fast struct {
	t       *transport
	opt     h2.Options
	door    *gate
	methods map[string]handler // by path

	mu      sync.Mutex
	conns   map[*h2.Conn]bool // of callers
	stopped bool
}

// spin is how long a rank asks the socket before it sleeps: a few times what waking up
// takes, and little beside what a training step computes.
const spin = 200 * time.Microsecond

// mostOnCore is how many ranks of a host there may be for each of its cores that one
// asks: among more, the one that is waited for is too seldom the next to run.
const mostOnCore = 2

// newFast answers callers from now on.
func newFast(t *transport, door *gate) endpoint {
	f := &fast{t: t, door: door, methods: map[string]handler{}, conns: map[*h2.Conn]bool{}}
	f.opt = h2.Options{MaxMessage: maxPayload + frame.HeaderSize, Window: window}
	if neighbours(t.cfg.Peers, t.cfg.Rank) <= mostOnCore*runtime.NumCPU() {
		f.opt.Spin = spin
	}
	for name, h := range t.handlers() {
		f.methods[methodPath(name)] = h
	}
	t.tasks.Go(f.accept)
	return f
}

// neighbours counts the ranks of this rank's host, by their addresses.
func neighbours(peers []string, rank int) (n int) {
	mine, _, _ := net.SplitHostPort(peers[rank])
	for _, p := range peers {
		if host, _, _ := net.SplitHostPort(p); host == mine {
			n++
		}
	}
	return n
}

func (f *fast) accept() {
	for {
		c, err := f.door.Accept()
		switch {
		case err == nil:
			f.t.tasks.Go(func() { f.welcome(c) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, say: callers ask again
			select {
			case <-time.After(askMost):
			case <-f.t.ctx.Done():
				return
			}
		}
	}
}

// welcome serves a connection until it ends.
func (f *fast) welcome(c net.Conn) {
	t := f.t
	proving, cancel := context.WithTimeout(t.ctx, proveWithin)
	defer cancel()
	if c.SetDeadline(time.Now().Add(proveWithin)) != nil {
		c.Close()
		return
	}
	c, shown, err := t.listening().ServerHandshake(c)
	if err != nil { // it is closed
		return
	}
	if p, ok := c.(*pending); ok {
		c = p.Conn // the socket itself
	}
	if c.SetDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	conn, err := h2.Serve(proving, c, f.opt, func(s *h2.Stream) { f.serve(s, shown.(proven)) })
	if err != nil {
		return
	}
	if f.keep(conn) {
		<-conn.Done()
	}
	conn.Close(t.ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

// keep reports whether the endpoint goes on.
func (f *fast) keep(c *h2.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.conns[c] = true
	}
	return !f.stopped
}

// serve is the life of a stream that a peer has opened.
func (f *fast) serve(s *h2.Stream, shown proven) {
	handle := f.methods[s.Method()]
	if handle == nil {
		s.Refuse(status.Errorf(codes.Unimplemented, "there is nothing named %q", s.Method()))
		return
	}
	life := f.t.lifeOf(s.Method())
	in := &fastIncoming{newFastStream(s, life), s, shown}
	err := handle(in)
	if life.Err() != nil {
		in.reset()
		return
	}
	s.Refuse(err)
	in.leave()
}

// lifeOf is how long streams of a path live: lanes end with Break.
func (t *transport) lifeOf(path string) context.Context {
	if path == methodPath(laneName) {
		return t.dataCtx
	}
	return t.ctx
}

// stop implements endpoint.
func (f *fast) stop(grace context.Context) {
	f.door.Close()
	f.mu.Lock()
	f.stopped = true
	var all []*h2.Conn
	for c := range f.conns {
		all = append(all, c)
	}
	f.mu.Unlock()
	var closing sync.WaitGroup
	for _, c := range all {
		closing.Go(func() { c.Close(grace) })
	}
	closing.Wait()
}

func (f *fast) dial(peer int) (caller, error) {
	return &fastCaller{f: f, peer: peer}, nil
}

// fastCaller is the calling end of a connection; the first open connects it.
type fastCaller struct {
	f    *fast
	peer int

	mu   sync.Mutex // held while connecting
	conn *h2.Conn
}

func (c *fastCaller) close(grace context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close(grace)
	}
	return nil
}

func (c *fastCaller) open(ctx, life context.Context, name string, md metadata.MD) (stream, metadata.MD, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(errBroken) })()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := conn.Open(methodPath(name), md)
	if err != nil {
		return nil, nil, err
	}
	s := newFastStream(h, life)
	answer, err := h.Header(ctx)
	if err == nil && len(answer.Get("vgid-rank")) == 0 {
		err = errors.New("the answer names no rank")
	}
	if err != nil {
		s.reset()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %s", context.Cause(ctx), wordsConnected)
		}
		return nil, nil, err
	}
	return s, answer, nil
}

// connect calls the peer, again and again until it is there.
func (c *fastCaller) connect(ctx context.Context) (*h2.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	for wait := askFirst; ; wait = min(wait*3/2, askMost) {
		conn, words, err := c.once(ctx)
		switch {
		case err == nil:
			c.conn = conn
			return conn, nil
		case final(err):
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, cause(ctx, words)
		}
	}
}

// once calls the peer, and says in words how far it came.
func (c *fastCaller) once(ctx context.Context) (_ *h2.Conn, words string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := c.f.t
	words = wordsNobody
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", t.cfg.Peers[c.peer])
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "i/o timeout") {
			words = wordsConnecting
		}
		return nil, words, err
	}
	nothing := func(error) {}                                                             // connect looks at the error
	if nc, _, err = t.calling(c.peer, nothing).ClientHandshake(ctx, "", nc); err != nil { // it is closed
		return nil, words, err
	}
	conn, err := h2.Client(ctx, nc, c.f.opt)
	return conn, wordsConnecting, err
}

// fastStream is a stream of package h2.
type fastStream struct {
	s     *h2.Stream
	stop  func() bool // of the watch over its life
	head  [frame.HeaderSize]byte
	out   []byte
	frame frame.Frame // the one that was received last
	free  func()
}

// newFastStream watches over the life of a stream.
func newFastStream(s *h2.Stream, life context.Context) *fastStream {
	f := &fastStream{s: s, stop: context.AfterFunc(life, s.Reset)}
	if s.Method() == methodPath(controlName) {
		s.Background()
	}
	return f
}

// send returns when the frame has left.
func (f *fastStream) send(h *frame.Header, payload []byte, sent *frame.Inflight) error {
	defer sent.Done()
	f.out = h.AppendTo(f.out[:0])
	return f.s.Send(f.out, payload)
}

// recv gives a frame whose payload is read as it comes in.
func (f *fastStream) recv() (*frame.Frame, error) {
	m, err := f.s.Recv()
	if err != nil {
		return nil, err
	}
	n := min(m.Len(), len(f.head))
	if err = m.Into(f.head[:n]); err == nil {
		f.frame.Header, err = decode(f.head[:n], m.Len())
	}
	if err != nil {
		m.Release()
		return nil, err
	}
	if f.free == nil {
		f.free = m.Release
	}
	f.frame.Body, f.frame.Free = m, f.free
	return &f.frame, nil
}

func (f *fastStream) sendNote(n note) error { return f.s.Send([]byte{n.kind}, n.b) }

func (f *fastStream) recvNote() (note, error) {
	m, err := f.s.Recv()
	if err != nil {
		return note{}, err
	}
	defer m.Release()
	b := make([]byte, min(m.Len(), maxNote))
	if m.Len() > maxNote {
		return note{}, longNote(m.Len())
	}
	if err := m.Into(b); err != nil {
		return note{}, err
	}
	return parseNote(b)
}

func (f *fastStream) closeSend() { f.s.CloseSend() }

func (f *fastStream) leave() {
	f.stop()
	f.s.Close()
}

func (f *fastStream) reset() {
	f.stop()
	f.s.Reset()
}

type fastIncoming struct {
	*fastStream
	s     *h2.Stream
	shown proven
}

func (f *fastIncoming) asked() metadata.MD {
	md, _ := f.s.Header(context.Background()) // it came with the stream
	return md
}

func (f *fastIncoming) certificate() *x509.Certificate { return f.shown.certificate }

func (f *fastIncoming) answer(md metadata.MD) error { return f.s.SendHeader(md) }
func (f *fastIncoming) gone() <-chan struct{}       { return f.s.Gone() }
