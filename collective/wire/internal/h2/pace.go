package h2

import (
	"sync/atomic"
	"time"
)

// pace is how much is sent at a time. What is being sent stands before the control
// messages of the connection, signs of life among them: on a link of 2 Mbit/s a frame of
// a MiB takes four seconds.
//
// What must always hold: it is between minPace and batch; one write that takes longer
// than tooLong halves it, and one that is quick doubles it.
type pace struct{ most atomic.Int64 }

const (
	// batch is about how much one system call sends at most.
	batch   = 2 << 20
	minPace = 16 << 10
	atFirst = 64 << 10
	tooLong = 100 * time.Millisecond
	quick   = tooLong / 4
)

func (p *pace) init() { p.most.Store(atFirst) }

// get is how many bytes to send at a time.
func (p *pace) get() int { return int(p.most.Load()) }

// wrote learns that a write of n bytes took so long. One goroutine does so at a time.
func (p *pace) wrote(n int, took time.Duration) {
	most := p.get()
	switch {
	case took > tooLong:
		most = max(most/2, minPace)
	case took < quick && n >= most/2:
		most = min(2*most, batch)
	default:
		return
	}
	p.most.Store(int64(most))
}
