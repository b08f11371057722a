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
	yield  time.Time     // when goroutines of the process were last let run
	asking bool          // it has not gone to sleep
	alone  bool          // while this goroutine runs, no other of the process does
	// How many waits begin with sleep: from now on; after the last that was asked through in
	// vain; and after the last in which somebody else kept the core. Sleeping can itself be
	// what makes waits long, when all ranks do so. Therefore asking is tried again, ever
	// more seldom while it fails.
	skip, vain, robbed int
	kept               int // waits asked through since robbed last changed
}

const (
	// maxPause is the most waits that begin with sleep between two that fail.
	maxPause = 1023
	// forgive is how many waits in a row that kept the core halve the pause after one that
	// did not: that costs a time slice, a hundred times what a wait gains by asking.
	forgive = 128
	// ran is the time from which on a goroutine that gave way sees that another ran.
	ran = 3 * time.Microsecond
)

// reset begins a read, before which there may be nothing to wait for.
func (s *spinner) reset() { s.began = time.Time{} }

// waiting reports whether the socket had nothing when it was asked.
func (s *spinner) waiting() bool { return !s.began.IsZero() }

// again reports whether to ask the socket once more, which had nothing at time now,
// instead of sleeping.
func (s *spinner) again(now time.Time) bool {
	switch {
	case !s.waiting():
		s.began, s.yield, s.asking = now, now, s.limit > 0 && s.skip == 0
		s.skip = max(s.skip-1, 0)
		s.alone = s.asking && runtime.GOMAXPROCS(0) == 1
	case !s.asking:
	case s.lost(now):
		s.punish()
	case now.Sub(s.began) >= s.limit:
		s.asking = false
		s.vain = min(2*s.vain+1, maxPause)
		s.skip = s.vain
	}
	s.last = now
	return s.asking
}

// lost reports whether somebody kept the core since the socket was asked last, for longer
// than a rank that shares it works on a message.
func (s *spinner) lost(now time.Time) bool { return now.Sub(s.last) >= 3*s.limit }

// punish ends asking in a wait in which it lost the core.
func (s *spinner) punish() {
	s.asking, s.kept, s.vain = false, 0, 0
	s.robbed = min(4*s.robbed+3, maxPause)
	s.skip = s.robbed
}

// over ends a wait: the socket gave something at time now.
func (s *spinner) over(now time.Time) {
	switch brief := now.Sub(s.began) < s.limit; {
	case s.asking && s.lost(now):
		s.punish()
	case s.asking:
		if s.kept++; s.kept >= forgive {
			s.kept, s.robbed = 0, s.robbed/2
		}
		if brief {
			s.vain = 0
		}
	case brief && s.vain > 0: // it would have been worth it
		s.vain, s.skip = 0, 0
	}
}

// giveWay lets others run that wait: goroutines of this process, or if there are none,
// other processes. Where goroutines may run elsewhere they are let only now and then:
// each time wakes an idle thread, which takes longer than to ask.
func (s *spinner) giveWay(now time.Time) {
	if s.alone || now.Sub(s.yield) >= s.limit/8 {
		s.yield = now
		if runtime.Gosched(); time.Since(now) > ran {
			return
		}
	}
	yieldCore()
}
