package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"vgid/model/cpu/internal/simd"
)

// A task is one parallel operation, cut into chunks that may run in any order
// on any worker. How it is cut must depend on shapes alone.
type task interface {
	do(chunk int, s *scratch)
}

// States of a worker's mailbox. Only the dispatcher posts, only the worker
// runs; both may take a posted task back, so that a worker which is slow to
// wake never delays an operation.
const (
	idle int32 = iota
	posted
	running
	parked
	stopped
)

// spinFor is how long a worker looks for work before it sleeps. It has to
// outlast more than the gaps between operations: the kernel may wake a worker on
// the caller's own core, where it only runs while the caller does not and so
// never finds work. Only a worker that stays awake is moved to the idle core, by
// load balancing, which takes some milliseconds.
const spinFor = 10 * time.Millisecond

// The mailbox goes idle → posted → running → idle; idle → parked when there was nothing to do
// for long; and to stopped when the pool closes. wake holds one token, so that posting never
// blocks.
type worker struct {
	state   atomic.Int32
	wake    chan struct{}
	scratch scratch
	_       [64]byte // keep mailboxes on cache lines of their own
}

// pool runs tasks on the calling goroutine and on threads-1 workers. What must
// always hold:
//
//   - a worker touches task, chunks and next only while its mailbox says running,
//     and run returns only when none does: the next task can then be put there;
//   - every chunk is done exactly once, by whoever took its number from next;
//   - a parked worker is woken by exactly one token, from whoever swaps parked
//     for something else.
type pool struct {
	workers []*worker
	own     scratch // of the calling goroutine
	peak    peak
	task    task
	chunks  int64
	next    atomic.Int64
	done    sync.WaitGroup
}

func newPool(threads int) *pool {
	p := &pool{}
	p.own.peak = &p.peak
	for range threads - 1 {
		w := &worker{wake: make(chan struct{}, 1), scratch: scratch{peak: &p.peak}}
		p.workers = append(p.workers, w)
		p.done.Add(1)
		go p.serve(w)
	}
	return p
}

// run executes every chunk of t and returns when all are done.
func (p *pool) run(chunks int, t task) {
	helpers := min(len(p.workers), chunks-1)
	if helpers <= 0 {
		for i := range chunks {
			p.own.reset()
			t.do(i, &p.own)
		}
		return
	}
	p.task, p.chunks = t, int64(chunks)
	p.next.Store(0)
	for _, w := range p.workers[:helpers] {
		if w.state.Swap(posted) == parked {
			w.wake <- struct{}{}
		}
	}
	p.drain(&p.own)
	for _, w := range p.workers[:helpers] {
		if w.state.CompareAndSwap(posted, idle) {
			continue // it never started, and nothing is left to do
		}
		for spins := 0; w.state.Load() == running; spins++ {
			simd.Pause(1)
			if spins > 1000 {
				runtime.Gosched()
			}
		}
	}
}

// drain does chunks until none is left. Which worker does which is left to chance and changes
// no result.
func (p *pool) drain(s *scratch) {
	for {
		i := p.next.Add(1) - 1
		if i >= p.chunks {
			return
		}
		s.reset()
		p.task.do(int(i), s)
	}
}

// serve is a worker's life. Time is looked at every 64 spins only, as asking costs more than a
// spin.
func (p *pool) serve(w *worker) {
	defer p.done.Done()
	idleSince := time.Now()
	for spins := 1; ; spins++ {
		if w.state.Load() == posted && w.state.CompareAndSwap(posted, running) {
			p.drain(&w.scratch)
			w.state.Store(idle)
			idleSince, spins = time.Now(), 0
			continue
		}
		simd.Pause(1)
		if spins%64 != 0 {
			continue
		}
		if w.state.Load() == stopped {
			return
		}
		if time.Since(idleSince) > spinFor && w.state.CompareAndSwap(idle, parked) {
			<-w.wake
			idleSince = time.Now()
		}
	}
}

// close stops the workers and waits for them.
func (p *pool) close() {
	for _, w := range p.workers {
		if w.state.Swap(stopped) == parked {
			w.wake <- struct{}{}
		}
	}
	p.done.Wait()
	p.workers = nil
}

// scratch is the reusable memory of one worker. A chunk takes what it needs;
// nothing survives it.
type scratch struct {
	buf  []float32
	used int
	peak *peak // of all workers of the pool
}

// peak is the most scratch memory that any chunk ever asked for. Workers share
// it: one that has slept through every call so far would otherwise find out in
// the middle of its first chunk, one allocation at a time.
type peak struct{ atomic.Int64 }

// raise is a maximum without a lock: it tries again while others raise it, too.
func (p *peak) raise(n int) {
	for {
		old := p.Load()
		if int64(n) <= old || p.CompareAndSwap(old, int64(n)) {
			return
		}
	}
}

// reset takes everything back, and makes room for the most that was ever
// asked for.
func (s *scratch) reset() {
	if n := int(s.peak.Load()); n > len(s.buf) {
		s.buf = alignedFloats(n + n/4)
	}
	s.used = 0
}

// floats returns n elements with arbitrary content, on a cache line.
func (s *scratch) floats(n int) []float32 {
	from := s.used
	s.used += (n + 15) &^ 15
	if s.used > len(s.buf) {
		s.peak.raise(s.used)
		return alignedFloats(n) // the next reset makes room
	}
	return s.buf[from : from+n : from+n]
}
