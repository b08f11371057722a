package collective

import (
	"sync/atomic"
	"time"
)

// progress is where this rank is in the calls that all ranks make: written by
// the goroutine that runs the call, read by the heartbeat and by whoever waits.
type progress struct {
	current atomic.Uint64          // number of the call that runs, or ran last
	header  atomic.Pointer[Header] // of the call that runs, nil between calls
	began   atomic.Int64           // when that call began, nanoseconds since start
	entered atomic.Int64           // when the running operation, of one call or two, began
	nanos   atomic.Uint64          // time spent in operations that ended
	waiting atomic.Int64           // the peer a receive waits for, or -1
}

// start is the moment that times within this process count from.
var start = time.Now()

// sinceBegan is when the running call began.
func (p *progress) sinceBegan() time.Duration { return time.Duration(p.began.Load()) }

// inCalls is the time this rank has spent in calls, the running one included.
func (p *progress) inCalls(now time.Duration) time.Duration {
	t := time.Duration(p.nanos.Load())
	if p.header.Load() != nil {
		t += max(now-time.Duration(p.entered.Load()), 0)
	}
	return t
}
