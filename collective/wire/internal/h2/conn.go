package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// complainWithin is how long a peer that breaks the rules has to take the reason why the
// connection ends.
const complainWithin = 100 * time.Millisecond

// Conn is one end of a connection.
//
// What must always hold: of the goroutines only the leader (roles) reads, and in,
// src and scratch are its own, passed on with the role under mu; nobody who holds
// mu waits for anything but memory; the loss of the connection is told to all that
// wait, once; and the goroutines of a Conn have ended when Close returns.
type Conn struct {
	conn   net.Conn
	opt    Options
	client bool
	accept func(*Stream)
	tasks  sync.WaitGroup
	out    *outbox

	// The leader's.
	src     *source
	in      inbound
	scratch []byte

	mu       sync.Mutex
	err      error         // why the connection has ended
	done     chan struct{} // closed when err is set
	settled  chan struct{} // closed when the peer has said what it takes
	roles    roles
	streams  map[uint32]*Stream
	nextID   uint32 // of streams opened here
	lastID   uint32 // of streams opened there
	heads    *headWriter
	peer     limits
	farewell string // what the peer's GOAWAY says
	leaving  bool   // the peer opens and takes no more streams

	room     *sync.Cond // told when there may be credit to send
	starving int        // senders that wait for credit
	credit   int        // bytes that may be sent on all streams together
	allowed  int        // bytes that the peer may still send
	taken    int        // bytes since allowed was raised last
}

// limits are what a peer takes; the first ones are the RFC's.
type limits struct {
	frame, window int
	streams       uint32
}

// connWindow is the credit of all streams together. It is given back as bytes come
// in, not as they are read: what nobody reads is bounded by the streams' windows, and
// a stream that nobody reads must not hold up the others.
const connWindow = 1 << 30

// Client is the calling end of a connection that is open and authenticated. It
// waits until the peer has said what it takes.
func Client(ctx context.Context, c net.Conn, opt Options) (*Conn, error) {
	return start(ctx, c, opt, nil)
}

// Serve is the listening end. Each stream of the caller is given to accept, in a
// goroutine of its own, which Close waits for.
func Serve(ctx context.Context, c net.Conn, opt Options, accept func(*Stream)) (*Conn, error) {
	return start(ctx, c, opt, accept)
}

func start(ctx context.Context, nc net.Conn, opt Options, accept func(*Stream)) (*Conn, error) {
	c := newConn(nc, opt, accept)
	c.tasks.Go(func() {
		if err := c.out.run(); err != nil {
			c.fail(err)
		}
	})
	c.tasks.Go(c.readIdle)
	select {
	case <-c.settled:
		return c, nil
	case <-c.done:
	case <-ctx.Done():
		c.fail(context.Cause(ctx))
	}
	c.tasks.Wait()
	return nil, c.err
}

// newConn is an end whose goroutines have not been started, with its first words queued.
func newConn(nc net.Conn, opt Options, accept func(*Stream)) *Conn {
	opt = opt.withDefaults()
	c := &Conn{
		conn: nc, opt: opt, client: accept == nil, accept: accept,
		src: newSource(nc, opt.Spin), scratch: make([]byte, scratchSize),
		done: make(chan struct{}), settled: make(chan struct{}), streams: map[uint32]*Stream{}, nextID: 1,
		heads: newHeadWriter(), peer: limits{frame: minMaxFrame, window: firstWindow, streams: maxWindow},
		credit: firstWindow, allowed: connWindow,
	}
	c.in.init(c.client)
	c.room = sync.NewCond(&c.mu)
	c.roles.init()
	c.out = newOutbox(nc, c.wantReader)
	var hello []byte
	if c.client {
		hello = append(hello, preface...)
	}
	hello = appendSettings(hello, setting{settingPush, 0}, setting{settingStreams, uint32(opt.MaxStreams)},
		setting{settingWindow, uint32(opt.Window)}, setting{settingMaxFrame, uint32(opt.MaxFrame)}, setting{settingHeaderList, maxControl})
	c.out.queue(appendNumber(hello, frameWindow, 0, connWindow-firstWindow))
	return c
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection has ended, nil before.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close sends what is queued, tells the peer, and ends the connection with all its
// streams, at the latest when ctx ends: a peer that is frozen takes nothing. It waits for
// the goroutines, those of accept too.
//
// A socket that is closed before all that came was read loses what has not left yet.
// So only this half is closed at first, and the rest when the peer has closed its own.
func (c *Conn) Close(ctx context.Context) {
	c.lastWords(ctx, codeNone, "")
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && ctx.Err() == nil && half.CloseWrite() == nil {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
	c.fail(errClosed)
	c.tasks.Wait()
}

// lastWords sends what is queued and says that this end leaves, unless ctx ends first.
func (c *Conn) lastWords(ctx context.Context, code uint32, words string) {
	c.mu.Lock()
	last, over := c.lastID, c.err != nil
	c.mu.Unlock()
	if over || ctx.Err() != nil {
		return
	}
	c.out.queue(appendGoAway(nil, last, code, words))
	select {
	case <-c.out.finish():
	case <-c.done:
	case <-ctx.Done():
	}
}

// fail ends the connection. The first reason counts.
func (c *Conn) fail(err error) {
	var broken *protocolError
	if errors.As(err, &broken) {
		ctx, cancel := context.WithTimeout(context.Background(), complainWithin)
		c.lastWords(ctx, broken.code, broken.words)
		cancel()
	}
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = c.reason(err)
		close(c.done)
		for _, s := range c.streams {
			s.wakeUp()
			s.lose()
		}
		c.room.Broadcast()
		c.roles.stir()
	}
	c.mu.Unlock()
	if first {
		c.out.stop()
		c.conn.Close() // wakes who reads and writes
	}
}

// reason puts the end of a connection in words.
func (c *Conn) reason(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	switch {
	case c.farewell != "":
		return status.Error(codes.Unavailable, "the peer has closed the connection: "+c.farewell)
	case errors.Is(err, io.EOF):
		return errGone
	}
	return status.Error(codes.Unavailable, err.Error())
}

// stray reports whether a stream that is not open was so before, so that frames of it
// may still be under way. mu is held.
func (c *Conn) stray(id uint32) bool {
	if id%2 == 0 {
		return false // servers open none here
	}
	if c.client {
		return id < c.nextID
	}
	return id <= c.lastID
}

// interrupted says that a wait for the socket was ended by a poke.
func interrupted(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
