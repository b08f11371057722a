package shm

import (
	"runtime"
	"sync/atomic"
	"time"
)

// sleeper is one goroutine's way to wait for the other process.
//
// What must always hold: it writes what it waits for to asks before it looks for the
// last time and sleeps, and who provides it looks at asks after it has, so that one
// of the two sees the other.
type sleeper struct {
	asks   *atomic.Uint32 // in shared memory: bytes that are waited for, taken by who wakes
	asleep atomic.Bool
	woken  chan struct{}

	// Looking that brings nothing takes the processor from whoever is to write: on a
	// busy machine it is tried ever more seldom.
	pause, skip int
}

func (s *sleeper) init(asks *atomic.Uint32) { s.asks, s.woken = asks, make(chan struct{}, 1) }

// wake has the sleeper look again.
func (s *sleeper) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// maxPause is the most waits without looking on after one that brought nothing.
const maxPause = 64

// wait returns when is says so. need is what is waited for, and not 0.
func (c *Conn) wait(s *sleeper, need uint32, is func() bool) {
	if is() || c.look(s, is) {
		return
	}
	s.asleep.Store(true)
	for {
		s.asks.Store(need)
		if is() {
			break
		}
		<-s.woken
	}
	s.asks.Store(0)
	s.asleep.Store(false)
}

// look looks again and again for a while before there is a reason to sleep, and lets others
// run in between.
func (c *Conn) look(s *sleeper, is func() bool) bool {
	switch {
	case c.opt.Look == 0:
		return false
	case s.skip > 0:
		s.skip--
		return false
	}
	since := time.Now()
	for last := since; ; {
		for range 4 {
			runtime.Gosched()
			if is() {
				s.pause = 0
				return true
			}
		}
		if c.opt.Crowded {
			yield()
		}
		now := time.Now()
		// Also when another process has kept the processor meanwhile: the machine is busy.
		lost := now.Sub(last) > c.opt.Look/2
		if last = now; lost || now.Sub(since) > c.opt.Look {
			s.pause = min(2*s.pause+1, maxPause)
			s.skip = s.pause
			return false
		}
	}
}
