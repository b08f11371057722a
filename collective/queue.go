package collective

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handle is one queued operation.
type Handle struct {
	c    *Comm
	ctx  context.Context
	call Call
	run  func() error // the operation itself; takes the next sequence number
	done chan struct{}
	err  error
}

// Wait waits for the operation. When ctx ends first the operation is given up,
// which ends the communicator; Wait returns when the buffer is free again.
func (h *Handle) Wait(ctx context.Context) error {
	select {
	case <-h.done:
	default:
		select {
		case <-h.done:
		case <-ctx.Done():
			peer := int(h.c.waiting.Load())
			if errors.Is(ctx.Err(), context.Canceled) {
				peer = -1 // this rank's own wish
			}
			h.c.fail(&RankError{Rank: h.c.rank, Peer: peer, Err: context.Cause(ctx)}, true)
			<-h.done
		}
	}
	return h.err
}

// submit runs or queues an operation. A call that waits and finds the
// communicator idle runs in its own goroutine, which saves two switches.
func (c *Comm) submit(h *Handle, wait bool) {
	h.c, h.done = c, make(chan struct{})
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		h.err = &RankError{Rank: c.rank, Peer: -1, Op: h.call, Err: ErrClosed}
		close(h.done)
		return
	}
	if c.running {
		c.queue = append(c.queue, h)
		c.mu.Unlock()
		return
	}
	c.running = true
	c.mu.Unlock()
	if !wait {
		go c.drain(h)
		return
	}
	c.execute(h)
	if next := c.next(); next != nil {
		go c.drain(next)
	}
}

// drain runs an operation and all that were queued since.
func (c *Comm) drain(h *Handle) {
	for h != nil {
		c.execute(h)
		h = c.next()
	}
}

// next takes the oldest queued operation, or ends the running state.
func (c *Comm) next() *Handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.running = false
		if c.idle != nil {
			close(c.idle)
			c.idle = nil
		}
		return nil
	}
	h := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	return h
}

// overdue is the end of a call's time; it is a context.DeadlineExceeded.
type overdue struct {
	after time.Duration
	why   string
}

func (o overdue) Error() string { return fmt.Sprintf("not done within %v: %s", o.after, o.why) }

func (o overdue) Unwrap() error { return context.DeadlineExceeded }

func (c *Comm) execute(h *Handle) {
	defer close(h.done)
	begin := time.Now()
	c.entered.Store(int64(time.Since(start)))
	ctx, cancel := context.WithTimeout(h.ctx, c.opt.Timeout)
	// The end of the context ends the communicator, and with it every Send and
	// Recv: the other ranks cannot finish a call that this rank gave up.
	stop := context.AfterFunc(ctx, func() {
		err := h.ctx.Err()
		peer, why := c.blame()
		if errors.Is(err, context.Canceled) {
			peer = -1 // this rank's own wish
		}
		if err == nil {
			err = overdue{c.opt.Timeout, why}
		} else if cause := context.Cause(h.ctx); cause != nil {
			err = cause
		}
		c.fail(&RankError{Rank: c.rank, Peer: peer, Err: err}, true)
	})
	ok := false
	select {
	case <-c.broken:
		c.current.Add(1) // the call has its number, though it does not run
	default:
		ok = h.run() == nil
		// The payloads are the caller's memory again only when the transport
		// let go of them.
		ok = c.inflight.Wait(c.broken) && ok
	}
	c.header.Store(nil)
	stop()
	cancel()
	if !ok {
		h.err = c.failure(h.call, c.current.Load())
		c.settle()
	} else {
		c.ops.Add(1)
	}
	c.nanos.Add(uint64(time.Since(begin)))
}

// settle gives a broken transport a moment to let go of the caller's memory,
// which to a peer behind a cut link it never does. What it still reads
// afterwards only reaches peers that failed as well.
func (c *Comm) settle() {
	enough := make(chan struct{})
	t := time.AfterFunc(200*time.Millisecond, func() { close(enough) })
	defer t.Stop()
	c.inflight.Wait(enough)
}
