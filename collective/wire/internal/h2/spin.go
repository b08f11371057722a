package h2

import (
	"runtime"
	"time"
)

// spinner decides how a receiver waits for the socket: by asking it again and again, or
// by sleeping until the kernel wakes it, which takes longer than a short message is under
// way. It asks where that has just been worth it: after a wait that was over within limit.
// So a rank whose peers compute for a while between two calls asks in vain about once in
// a call.
//
// Between two questions it gives way, to goroutines of this process and to other
// processes. What it takes is time in which nobody had anything to do, also where several
// ranks share a core: there the one that is waited for gets the core at once, and the one
// that waits need not be woken.
//
// What must always hold: of one wait at most limit is spent asking, but for time that
// others took of it; and of many waits in a row that last longer, one in maxPause+1 begins
// with asking.
type spinner struct {
	limit  time.Duration // 0: never ask twice
	began  time.Time     // of this wait; zero: it has not begun
	last   time.Time     // when the socket was asked last
	asking bool          // it has not gone to sleep
	alone  bool          // while this goroutine runs, no other of the process does
	// Sleeping can itself be what makes waits long, when all ranks do so. Therefore asking
	// is tried again, ever more seldom while it is in vain.
	skip, pause int  // waits that begin with sleep: from now on, and after the last one in vain
	robbed      bool // the last one in vain gave the core to somebody who kept it
}

// maxPause is the most waits that begin with sleep between two that are in vain.
const maxPause = 1024

// reset begins a read, before which there may be nothing to wait for.
func (s *spinner) reset() { s.began = time.Time{} }

// waiting reports whether the socket had nothing when it was asked.
func (s *spinner) waiting() bool { return !s.began.IsZero() }

// again reports whether to ask the socket once more, which had nothing at time now,
// instead of sleeping.
func (s *spinner) again(now time.Time) bool {
	switch {
	case !s.waiting():
		s.began, s.asking = now, s.limit > 0 && s.skip == 0
		s.skip = max(s.skip-1, 0)
		s.alone = s.asking && runtime.GOMAXPROCS(0) == 1
	case s.asking && (now.Sub(s.began) >= s.limit || s.lost(now)):
		s.fail(now)
	}
	s.last = now
	return s.asking
}

// lost reports whether the core was given away for long since the last question.
func (s *spinner) lost(now time.Time) bool { return now.Sub(s.last) >= s.limit/2 }

// fail ends asking in this wait.
func (s *spinner) fail(now time.Time) {
	s.asking, s.robbed = false, s.lost(now)
	s.pause = min(2*s.pause+1, maxPause)
	s.skip = s.pause
}

// over ends a wait: the socket gave something at time now.
func (s *spinner) over(now time.Time) {
	switch {
	case s.asking && s.lost(now):
		s.fail(now)
	case now.Sub(s.began) < s.limit && (s.asking || !s.robbed):
		s.skip, s.pause = 0, 0
	}
}

// giveWay lets others run: other processes, and goroutines of this one where they would
// have to wait else. Where they would not, to go through the scheduler again and again
// would wake idle threads.
func (s *spinner) giveWay() {
	if s.alone {
		runtime.Gosched()
	}
	yieldCore()
}
