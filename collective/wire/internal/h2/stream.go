package h2

import (
	"context"
	"io"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Stream is one call in both directions. Header, Recv and what is done with a Message
// are for one goroutine at a time, and so are Send and CloseSend; Close and Reset may be
// called at any time.
//
// What must always hold: what came before the peer's end is read before the end is
// told, but nothing is read behind Reset; credit is taken before bytes are sent; and the
// peer is never sent more than it allows, nor allowed more than Options.Window bytes that nobody
// has read.
type Stream struct {
	c      *Conn
	id     uint32
	method string
	dead   atomic.Bool // given up here; set under Conn.mu
	wake   chan struct{}
	gone   chan struct{} // closed when the stream has been given up at either end, or the connection has ended

	// Guarded by Conn.mu.
	background bool
	started    bool // the peer's headers have come
	header     metadata.MD
	queue      queue
	end        error // why no more comes; nil while it may
	allowed    int   // bytes that the peer may still send
	unreported int   // bytes used since allowed was raised last
	credit     int   // bytes that may be sent
	closed     bool  // what comes is dropped
	answered   bool  // headers are sent
	muted      bool  // nothing may be sent any more

	// The receiver's.
	leads  bool // it is the leader
	stored bool // it is, and the queue is not empty
	direct int  // bytes read as the leader, not in unreported yet
	msg    Message
	// The sender's.
	vec   [][]byte
	buf   []byte // prefix and first part of a message
	heads []byte // of its frames
}

func (c *Conn) newStream(id uint32, method string) *Stream {
	s := &Stream{c: c, id: id, method: method, wake: make(chan struct{}, 1), gone: make(chan struct{}), allowed: c.opt.Window, credit: c.peer.window}
	s.msg.s = s
	c.streams[id] = s
	return s
}

// Open begins a stream of the calling end, which may send at once.
func (c *Conn) Open(method string, md metadata.MD) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case !c.client:
		return nil, status.Error(codes.FailedPrecondition, "streams are opened by the calling end")
	case c.leaving:
		return nil, status.Error(codes.Unavailable, "the peer is leaving")
	case uint32(len(c.streams)) >= c.peer.streams:
		return nil, status.Errorf(codes.ResourceExhausted, "the peer takes no more than %d streams at a time", c.peer.streams)
	case c.nextID > maxWindow:
		return nil, status.Error(codes.ResourceExhausted, "the connection has no numbers for streams left")
	}
	s := c.newStream(c.nextID, method)
	s.answered = true
	if err := s.sendHead(md, false, ":method", "POST", ":scheme", "http", ":path", method, ":authority", "localhost",
		"content-type", contentType, "te", "trailers"); err != nil {
		delete(c.streams, s.id)
		return nil, err
	}
	c.nextID += 2
	return s, nil
}

// welcome takes a stream that the caller opens.
func (c *Conn) welcome(id uint32, h head, end bool) error {
	if h.method != "POST" || !isGRPC(h.contentType) || h.path == "" {
		return c.out.answer(appendNumber(nil, frameReset, id, codeProtocol))
	}
	if len(c.streams) >= c.opt.MaxStreams {
		return c.out.answer(appendNumber(nil, frameReset, id, codeRefused))
	}
	s := c.newStream(id, h.path)
	s.started, s.header = true, h.md
	if end {
		s.ended(io.EOF)
	}
	if c.err == nil { // or Close may have ended its wait for such goroutines
		c.tasks.Go(func() { c.accept(s) })
	}
	return nil
}

// sendHead queues a header block. Conn.mu is held.
func (s *Stream) sendHead(md metadata.MD, end bool, fields ...string) error {
	b, err := s.c.heads.block(md, fields...)
	if err != nil {
		return err
	}
	s.c.out.queue(headersFrame(s.id, b, end))
	return nil
}

// Method is the path of the call, "/service/method".
func (s *Stream) Method() string { return s.method }

// Background says that Recv never reads the connection itself, but waits until others
// do: for streams with few and short messages, whose waiting would only stand in the way
// of those that wait for much. To be called before Recv.
func (s *Stream) Background() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.background = true
}

// Header waits for the peer's metadata, which the listening end has from the start.
// Of a stream that is refused it gives the reason.
func (s *Stream) Header(ctx context.Context) (metadata.MD, error) {
	c := s.c
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.rouse()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	ready := func(s *Stream) bool { return s.started || s.end != nil || s.closed || ctx.Err() != nil }
	for !ready(s) {
		if err := c.await(s, ready); err != nil {
			return nil, err
		}
		if s.leads && !ready(s) {
			c.mu.Unlock()
			err := c.advance(s)
			if err != nil && !interrupted(err) {
				c.fail(err)
			}
			c.mu.Lock()
			c.unpoke()
		}
	}
	if s.leads || c.roles.leader == s {
		c.release(s)
	}
	switch {
	case s.started:
		return s.header, nil
	case s.end != nil:
		return nil, s.end
	case s.closed:
		return nil, errReset
	}
	return nil, context.Cause(ctx)
}

// SendHeader answers a stream's call with metadata; the caller's Header waits for it.
func (s *Stream) SendHeader(md metadata.MD) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.dead.Load():
		return errReset
	case s.answered || s.muted:
		return status.Error(codes.FailedPrecondition, "the stream has been answered")
	}
	s.answered = true
	return s.sendHead(md, false, ":status", "200", "content-type", contentType)
}

// heard takes what a header block says of a stream that is open. Conn.mu is held.
func (s *Stream) heard(h head, end bool) error {
	switch {
	case s.end != nil:
		return violation(codeClosed, "headers of stream %d behind its end", s.id)
	case !s.c.client: // a caller has no trailers in gRPC
		return violation(codeProtocol, "headers of stream %d a second time", s.id)
	case end:
		s.ended(h.end())
		if s.end == nil {
			s.ended(io.EOF)
		}
	case s.started:
		return violation(codeProtocol, "headers of stream %d a second time", s.id)
	case len(h.status) == 3 && h.status[0] == '1': // more follow (RFC 9110, 15.2)
	case h.status != "200" || !isGRPC(h.contentType):
		s.ended(status.Errorf(codes.Internal, "the answer is not gRPC's (HTTP status %q, content type %q)", h.status, h.contentType))
		s.mute()
		return s.c.out.answer(appendNumber(nil, frameReset, s.id, codeProtocol))
	default:
		s.started, s.header = true, h.md
		s.wakeUp()
	}
	return nil
}

// bareEnd is what an end without trailers means: callers have none, servers owe a status.
func (s *Stream) bareEnd() error {
	if s.c.client {
		return status.Error(codes.Internal, "the stream ended without a status")
	}
	return io.EOF
}

// ended says that no more comes. Conn.mu is held.
func (s *Stream) ended(err error) {
	if s.end != nil || err == nil {
		return
	}
	s.end = err
	if s.c.client { // a server that ends its half has ended the call
		s.mute()
	} else if s.muted {
		delete(s.c.streams, s.id)
	}
	s.wakeUp()
}

// mute ends sending. A stream of which nothing comes and nothing goes is forgotten.
func (s *Stream) mute() {
	s.muted = true
	if s.end != nil {
		delete(s.c.streams, s.id)
	}
	s.c.room.Broadcast()
}

// deafened reports whether what comes is dropped.
func (s *Stream) deafened() bool { return s.closed || s.dead.Load() }

// Gone is closed when the stream has been given up at either end, or the connection has
// ended.
func (s *Stream) Gone() <-chan struct{} { return s.gone }

// lose closes gone. Conn.mu is held.
func (s *Stream) lose() {
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
}

// wakeUp makes the receiver look again.
func (s *Stream) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// rouse does so also if the receiver waits for the socket. Conn.mu is held.
func (s *Stream) rouse() {
	s.wakeUp()
	if s.c.roles.leader == s {
		s.c.poke()
	}
}
