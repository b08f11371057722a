package watch

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
)

// Progress is where this rank is in the calls that all ranks of a communicator
// make: written by the goroutine that runs the call, read by the heartbeat and by
// whoever waits.
type Progress struct {
	comm    uint32
	Ranks   []int                        // of the communicator, by their numbers in the job
	current atomic.Uint64                // number of the call that runs, or ran last
	header  atomic.Pointer[frame.Header] // of the call that runs, nil between calls
	began   atomic.Int64                 // when that call began, nanoseconds since start
	entered atomic.Int64                 // when the running operation, of one call or two, began
	nanos   atomic.Uint64                // time spent in operations that ended
	waiting atomic.Int64                 // the rank of the job that a receive waits for, or -1
	waits   waits                        // of the running operation, and of all
	left    atomic.Bool                  // this rank makes no more calls
	// firstLeft is the lowest last call of the ranks that left.
	firstLeft atomic.Uint64

	alarm alarm // of the heartbeat's goroutine

	mu     sync.Mutex    // guards what follows
	recent [16]announced // of the last calls, by number modulo its length
	latest uint64        // number of the last of them; 0: none
	sum    uint64        // over the headers of all calls

	// Guarded by the watch.
	gone map[int]standing // the ranks that left, and where
	done time.Duration    // when all had left, 0: not yet
}

func NewProgress(comm uint32, ranks []int, patience time.Duration) *Progress {
	p := &Progress{comm: comm, Ranks: ranks, gone: map[int]standing{}, alarm: alarm{after: patience}, waits: newWaits(ranks)}
	p.waiting.Store(-1)
	p.waits.reset()
	p.firstLeft.Store(math.MaxUint64)
	return p
}

// start is the moment that times within this process count from.
var start = time.Now()

// enter makes the header of a call known as the running one.
func (p *Progress) enter(h *frame.Header) {
	known := *h
	p.began.Store(int64(time.Since(start)))
	p.mu.Lock()
	if p.latest != h.Seq { // some calls take two passes
		p.latest, p.sum = h.Seq, addCall(p.sum, h)
	}
	p.recent[h.Seq%uint64(len(p.recent))] = announced{known, p.sum}
	p.mu.Unlock()
	p.header.Store(&known)
}

// addCall adds a header to a sum over headers (FNV-1a, by words), which tells
// whether two ranks have made the same calls.
func addCall(sum uint64, h *frame.Header) uint64 {
	whole := h.Whole()
	var room [frame.HeaderSize]byte
	for b := whole.AppendTo(room[:0]); len(b) > 0; b = b[8:] {
		sum = (sum ^ binary.LittleEndian.Uint64(b)) * 1099511628211
	}
	return sum
}

// last is the header of the latest call, nil if there was none.
func (p *Progress) last() *frame.Header {
	seq, _ := p.calls()
	return p.call(seq)
}

// calls is the number of the latest call and the sum over the headers of all.
func (p *Progress) calls() (seq, sum uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest, p.sum
}

// call is the header of call seq, nil if it is to come or was long ago.
func (p *Progress) call(seq uint64) *frame.Header {
	if a := p.announced(seq); a != nil {
		return &a.Header
	}
	return nil
}

// announced is a call that a rank is in or was, and a sum over the headers of all up to it.
type announced struct {
	frame.Header
	sum uint64
}

// announced is call, with the sum.
func (p *Progress) announced(seq uint64) *announced {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.recent[seq%uint64(len(p.recent))]; seq != 0 && a.Seq == seq {
		return &a
	}
	return nil
}

// standing is where this rank is now.
func (p *Progress) standing(now time.Duration) standing {
	s := standing{comm: p.comm, left: p.left.Load()}
	if h := p.header.Load(); h != nil {
		s.at, s.call = inCall(h.Seq), h.Call
		s.age = max(now-p.sinceBegan(), 0).Truncate(time.Millisecond)
	} else if h := p.last(); h != nil {
		s.at, s.call = afterCall(h.Seq), h.Call
	} else {
		s.at = afterCall(0)
	}
	if s.left {
		_, s.sum = p.calls()
	}
	return s
}

// sinceBegan is when the running call began.
func (p *Progress) sinceBegan() time.Duration { return time.Duration(p.began.Load()) }

// inCalls is the time this rank has spent in calls, the running one included.
func (p *Progress) inCalls(now time.Duration) time.Duration {
	t := time.Duration(p.nanos.Load())
	if p.header.Load() != nil {
		t += max(now-time.Duration(p.entered.Load()), 0)
	}
	return t
}

// Next gives the next call its number.
func (p *Progress) Next() uint64 { return p.current.Add(1) }

// Current is the number of the call that runs, or ran last.
func (p *Progress) Current() uint64 { return p.current.Load() }

// Begin says that an operation, of one call or two, begins to run.
func (p *Progress) Begin() {
	p.entered.Store(int64(time.Since(start)))
	p.waits.reset()
}

// Running is the header of the call that runs, nil between calls.
func (p *Progress) Running() *frame.Header { return p.header.Load() }

// Entered is when the running operation began, since the process did.
func (p *Progress) Entered() time.Duration { return time.Duration(p.entered.Load()) }

// Latest is the number of the latest call that was made known.
func (p *Progress) Latest() uint64 {
	seq, _ := p.calls()
	return seq
}

// Left reports whether this rank makes no more calls.
func (p *Progress) Left() bool { return p.left.Load() }

// Leave says that the running call has ended: this rank is between calls.
func (p *Progress) Leave() { p.header.Store(nil) }

// Spent adds the time of an operation that ended.
func (p *Progress) Spent(t time.Duration) { p.nanos.Add(uint64(t)) }

// InOperations is the time of all operations that ended.
func (p *Progress) InOperations() time.Duration { return time.Duration(p.nanos.Load()) }

// WaitFor says which rank of the job a receive waits for, -1 that none does. Between
// the two the operation waits.
func (p *Progress) WaitFor(rank int) {
	p.waiting.Store(int64(rank))
	if rank >= 0 {
		p.waits.begin(rank)
	} else {
		p.waits.end()
	}
}

// Waited is how long operations have waited, in all, for frames of a rank of the job.
func (p *Progress) Waited(rank int) time.Duration { return p.waits.total(rank) }

// WaitsFor is what WaitFor said last.
func (p *Progress) WaitsFor() int { return int(p.waiting.Load()) }

// Longest is the rank of the job that the operation which runs, or ran last, has
// waited for longest in a row, -1 if for none, and how long.
func (p *Progress) Longest() (rank int, d time.Duration) { return p.waits.longest() }

// Now is the time since the process began.
func Now() time.Duration { return time.Since(start) }
