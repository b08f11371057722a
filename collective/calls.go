package collective

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
)

// Async makes the same calls as Comm, which gave it, but returns at once. Queued
// operations run in the order they were queued, together with all other calls. A
// call that is wrong on its own takes no place in that order.
type Async struct {
	c    *Comm
	wait bool // the caller waits, and may run the operation itself
}

// Async is where the calls are that do not wait: those of MPI that begin with I.
func (c *Comm) Async() Async { return Async{c, false} }

// now is for calls that wait.
func (c *Comm) now() Async { return Async{c, true} }

// start queues an operation, or refuses one that is wrong on its own.
func (a Async) start(ctx context.Context, call Call, wrong error, run func() error) *Handle {
	h := a.handle(ctx, call, -1)
	h.run = run
	switch {
	case wrong != nil:
		h.refuse(wrong)
	case a.c.size == 1:
		h.alone()
	case !a.c.queue.submit(h, a.wait):
		h.refuse(ErrClosed)
	}
	return h
}

// handle is that of a call that waits for a rank of the job, or -1.
func (a Async) handle(ctx context.Context, call Call, peer int) *Handle {
	return &Handle{c: a.c, ctx: ctx, call: call, peer: peer, done: make(chan struct{})}
}

// alone runs an operation of the only rank: it has nobody to wait for.
func (h *Handle) alone() {
	defer close(h.done)
	c := h.c
	switch {
	case h.ctx.Err() != nil:
		h.err = &RankError{Rank: c.inJob(), Peer: -1, Op: h.call, Err: h.ctx.Err()}
	case h.run() != nil:
		h.err = c.failure.InWordsOf(h.call, 0)
	default:
		c.ops.Add(1)
	}
}

// isRank checks a root.
func (a Async) isRank(root int) error {
	if root < 0 || root >= a.c.size {
		return fmt.Errorf("root %d is not a rank of 0 … %d", root, a.c.size-1)
	}
	return nil
}

// overdue is the end of a call's time; it is a context.DeadlineExceeded.
type overdue struct {
	after time.Duration
	why   string
}

func (o overdue) Error() string { return fmt.Sprintf("not done within %v: %s", o.after, o.why) }

func (o overdue) Unwrap() error { return context.DeadlineExceeded }

// execute runs an operation, within its time.
func (h *Handle) execute() {
	defer close(h.done)
	c := h.c
	h.before = counts{c.exchange.sent.Load(), c.exchange.received.Load()}
	c.progress.Begin()
	stop := c.limit(h.ctx, func() (int, string) { return c.watch.Blame(c.progress) })
	ok := false
	select {
	case <-c.failure.Broken():
		c.progress.Next() // the call has its number, though it does not run
	default:
		ok = h.run() == nil
	}
	c.exchange.scratch.Reset()
	end := watch.Now()
	if ok {
		c.note(h.before, end)
	}
	c.progress.Leave()
	stop()
	if !ok {
		h.err = c.failure.InWordsOf(h.call, c.progress.Current())
		freeMemory(c.exchange.inflight)
	} else {
		c.ops.Add(1)
	}
	h.took = end - c.progress.Entered()
	c.progress.Spent(h.took)
}

// limit ends the communicators when a call's time, or its context, ends before
// stop is called, and with them every Send and Recv: the other ranks cannot finish
// a call that this rank gave up. blame says which rank of the job it waits for and
// why.
func (j *job) limit(of context.Context, blame func() (peer int, why string)) (stop func()) {
	end := func() {
		err := of.Err()
		peer, why := blame()
		if errors.Is(err, context.Canceled) {
			peer = -1 // this rank's own wish
		}
		if err == nil {
			err = overdue{j.opt.Timeout, why}
		} else if cause := context.Cause(of); cause != nil {
			err = cause
		}
		j.failure.End(&RankError{Rank: j.inJob(), Peer: peer, Err: err}, true)
	}
	// A context of its own would be eight allocations in every call.
	late := time.AfterFunc(j.opt.Timeout, end)
	forget := func() bool { return true }
	if of.Done() != nil {
		forget = context.AfterFunc(of, end)
	}
	return func() {
		late.Stop()
		forget()
	}
}

// freeMemory gives a broken transport a moment to let go of the caller's memory,
// which to a peer behind a cut link it never does. What it still reads
// afterwards only reaches peers that failed as well.
func freeMemory(read *frame.Inflight) {
	enough := make(chan struct{})
	t := time.AfterFunc(200*time.Millisecond, func() { close(enough) })
	defer t.Stop()
	read.Wait(enough)
}
