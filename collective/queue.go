package collective

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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

	peer  int // of a message, by its number in the job, else -1
	count int // elements of a message that was received

	before  counts        // of an operation, when it began
	took    time.Duration // how long an operation ran
	began   time.Duration // of a message, since the process began
	moved   atomic.Int64  // the same, when something of it was last sent, nanoseconds
	awaited atomic.Bool   // somebody waits for the end
}

// Count is the elements that a Recv took, when it has ended.
func (h *Handle) Count() int { return h.count }

// Took is how long the operation ran, when it has ended: not while it was queued. It is 0
// of messages, and of a communicator of one rank.
func (h *Handle) Took() time.Duration { return h.took }

// refuse ends a call that is wrong on its own.
func (h *Handle) refuse(why error) {
	h.err = &RankError{Rank: h.c.inJob(), Peer: -1, Op: h.call, Err: why}
	close(h.done)
}

// Wait waits for the operation. When ctx ends first the operation is given up,
// which ends the communicator; Wait returns when the buffer is free again.
func (h *Handle) Wait(ctx context.Context) error {
	select {
	case <-h.done:
	default:
		h.awaited.Store(true)
		defer h.awaited.Store(false)
		select {
		case <-h.done:
		case <-ctx.Done():
			peer := h.peer
			if peer < 0 {
				peer = h.c.progress.WaitsFor()
			}
			if errors.Is(ctx.Err(), context.Canceled) {
				peer = -1 // this rank's own wish
			}
			h.c.failure.End(&RankError{Rank: h.c.inJob(), Peer: peer, Err: context.Cause(ctx)}, true)
			<-h.done
		}
	}
	return h.err
}

// queue runs operations one after another in the order they were made.
//
// What must always hold: at most one operation runs; each one made before close
// runs, and none after; and close returns when none does.
type queue struct {
	run func(*Handle)

	mu      sync.Mutex // guards what follows
	waiting []*Handle
	current *Handle // that runs
	running bool
	closed  bool
	idle    chan struct{} // non-nil while close waits for the runner
}

// submit runs or queues an operation, and reports whether the queue is open. An
// operation that is waited for and finds the queue idle runs in its own
// goroutine, which saves two switches.
func (q *queue) submit(h *Handle, wait bool) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	if q.running {
		q.waiting = append(q.waiting, h)
		q.mu.Unlock()
		return true
	}
	q.running, q.current = true, h
	q.mu.Unlock()
	if !wait {
		go q.drain(h)
		return true
	}
	q.run(h)
	if next := q.next(); next != nil {
		go q.drain(next)
	}
	return true
}

// drain runs an operation and all that were queued since.
func (q *queue) drain(h *Handle) {
	for h != nil {
		q.run(h)
		h = q.next()
	}
}

// next takes the oldest queued operation, or ends the running state.
func (q *queue) next() *Handle {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running, q.current = false, nil
		if q.idle != nil {
			close(q.idle)
			q.idle = nil
		}
		return nil
	}
	h := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.current = h
	return h
}

// look gives the operation that runs, nil if none does, and those that wait.
func (q *queue) look() (running *Handle, waiting []*Handle) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.current, slices.Clone(q.waiting)
}

// close takes no more operations and waits for those made before. It reports
// whether the queue was open.
func (q *queue) close() bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.closed = true
	var idle chan struct{}
	if q.running {
		q.idle = make(chan struct{})
		idle = q.idle
	}
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
	return true
}
