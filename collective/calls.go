package collective

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AllReduce replaces b on every rank by the reduction over all ranks. All
// ranks end with the same bits, and with the same bits in every run.
func (c *Comm) AllReduce(ctx context.Context, b Buf, op Op) error {
	return c.startReduce(ctx, b, op, true).Wait(ctx)
}

// IAllReduce queues an AllReduce and returns at once. Queued operations run in
// the order they were queued, together with all other calls.
func (c *Comm) IAllReduce(ctx context.Context, b Buf, op Op) *Handle {
	return c.startReduce(ctx, b, op, false)
}

func (c *Comm) startReduce(ctx context.Context, b Buf, op Op, wait bool) *Handle {
	h := &Handle{ctx: ctx, call: CallAllReduce, run: func() error { return c.exchange.allReduce(CallAllReduce, b, op) }}
	if !b.dtype.Reducible() || !op.Valid() {
		return c.refused(h, fmt.Errorf("cannot reduce %v by %v", b.dtype, op))
	}
	return c.start(h, wait)
}

// Barrier returns when every rank has called it.
func (c *Comm) Barrier(ctx context.Context) error {
	h := &Handle{ctx: ctx, call: CallBarrier, run: func() error { return c.exchange.allReduce(CallBarrier, Buf{dtype: TypeBytes}, Sum) }}
	return c.start(h, true).Wait(ctx)
}

// refused gives the handle of a call that is wrong on its own.
func (c *Comm) refused(h *Handle, err error) *Handle {
	h.c, h.done, h.err = c, make(chan struct{}), &RankError{Rank: c.rank, Peer: -1, Op: h.call, Err: err}
	close(h.done)
	return h
}

// start submits a call; with one rank there is nothing to exchange.
func (c *Comm) start(h *Handle, wait bool) *Handle {
	h.c, h.done = c, make(chan struct{})
	switch {
	case c.size > 1:
		if !c.queue.submit(h, wait) {
			return c.refused(h, ErrClosed)
		}
		return h
	case h.ctx.Err() != nil:
		return c.refused(h, h.ctx.Err())
	}
	c.ops.Add(1)
	close(h.done)
	return h
}

// Broadcast replaces b on every rank by the root's. The root returns when every
// rank has it, so that ranks which name different roots learn of it here.
func (c *Comm) Broadcast(ctx context.Context, b Buf, root int) error {
	h := &Handle{ctx: ctx, call: CallBroadcast, run: func() error { return c.exchange.broadcast(b, root) }}
	if root < 0 || root >= c.size {
		return c.refused(h, fmt.Errorf("root %d is not a rank of 0 … %d", root, c.size-1)).Wait(ctx)
	}
	return c.start(h, true).Wait(ctx)
}

// AllGatherBytes gives every rank the bytes of all ranks, in rank order.
// Lengths may differ. The results are fresh memory.
func (c *Comm) AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error) {
	all := [][]byte{append([]byte{}, mine...)}
	h := &Handle{ctx: ctx, call: CallAllGather, run: func() (err error) { all, err = c.exchange.allGather(mine); return err }}
	if err := c.start(h, true).Wait(ctx); err != nil {
		return nil, err
	}
	return all, nil
}

// overdue is the end of a call's time; it is a context.DeadlineExceeded.
type overdue struct {
	after time.Duration
	why   string
}

func (o overdue) Error() string { return fmt.Sprintf("not done within %v: %s", o.after, o.why) }

func (o overdue) Unwrap() error { return context.DeadlineExceeded }

// execute runs an operation, within its time.
func (c *Comm) execute(h *Handle) {
	defer close(h.done)
	begin := time.Now()
	c.progress.entered.Store(int64(time.Since(start)))
	ctx, cancel := context.WithTimeout(h.ctx, c.opt.Timeout)
	// The end of the context ends the communicator, and with it every Send and
	// Recv: the other ranks cannot finish a call that this rank gave up.
	stop := context.AfterFunc(ctx, func() {
		err := h.ctx.Err()
		peer, why := c.watch.blame()
		if errors.Is(err, context.Canceled) {
			peer = -1 // this rank's own wish
		}
		if err == nil {
			err = overdue{c.opt.Timeout, why}
		} else if cause := context.Cause(h.ctx); cause != nil {
			err = cause
		}
		c.failure.end(&RankError{Rank: c.rank, Peer: peer, Err: err}, true)
	})
	ok := false
	select {
	case <-c.failure.broken:
		c.progress.current.Add(1) // the call has its number, though it does not run
	default:
		ok = h.run() == nil
		// The payloads are the caller's memory again only when the transport
		// let go of them.
		ok = c.exchange.inflight.Wait(c.failure.broken) && ok
	}
	c.progress.header.Store(nil)
	stop()
	cancel()
	if !ok {
		h.err = c.failure.inWordsOf(h.call, c.progress.current.Load())
		c.freeMemory()
	} else {
		c.ops.Add(1)
	}
	c.progress.nanos.Add(uint64(time.Since(begin)))
}

// freeMemory gives a broken transport a moment to let go of the caller's memory,
// which to a peer behind a cut link it never does. What it still reads
// afterwards only reaches peers that failed as well.
func (c *Comm) freeMemory() {
	enough := make(chan struct{})
	t := time.AfterFunc(200*time.Millisecond, func() { close(enough) })
	defer t.Stop()
	c.exchange.inflight.Wait(enough)
}
