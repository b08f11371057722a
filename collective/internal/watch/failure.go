package watch

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"vgid/collective/frame"
)

// Failure is the end of the communicators of a job by the first cause.
//
// What must always hold: there is one cause, the first; broken closes once, and
// only after the peers were told of a cause that this rank saw itself, because
// whoever learns of it here may close the communicator, and the peers would
// take its leaving for the cause; and once it is closed, every Send and Recv
// returns.
type Failure struct {
	t        frame.Transport // nil when alone
	rank     int
	size     int
	once     sync.Once
	cause    error         // set before broken closes
	broken   chan struct{} // closed on the first failure
	told     atomic.Bool   // the peers were told the cause
	reported atomic.Bool   // a call returned the cause
	// OnEnd, if not nil, is told the cause while the calls that run do not know of it
	// yet. It returns fast.
	OnEnd func(cause error)
}

// End ends the communicator with its first cause. With tell the peers learn of
// it at once, and so do theirs: each rank passes on what ended it. Of causes that
// every rank sees itself they are told when this rank closes, so that none takes
// its leaving for the cause.
func (f *Failure) End(cause error, tell bool) {
	isFirst := false
	f.once.Do(func() {
		f.cause, isFirst = cause, true
		f.told.Store(tell)
	})
	// Outside of the once: a peer may fail in the same moment and tell back.
	if !isFirst {
		return
	}
	if tell && f.t != nil {
		f.tellPeers()
	}
	if f.OnEnd != nil {
		f.OnEnd(cause)
	}
	close(f.broken)
	if f.t != nil {
		f.t.Break()
	}
}

func (f *Failure) tellPeers() {
	note := encodeAbort(f.rank, f.cause)
	for p := range f.size {
		if p != f.rank {
			_ = f.t.Notify(p, note) // to those it is connected to; one out of reach has its own deadline
		}
	}
}

// tellLeaving tells the peers the cause if they were not told before, and
// reports whether there is one.
func (f *Failure) tellLeaving() bool {
	select {
	case <-f.broken:
		if !f.told.Swap(true) {
			f.tellPeers()
		}
		return true
	default:
		return false
	}
}

// InWordsOf is the cause in the words of one call.
func (f *Failure) InWordsOf(call frame.Call, seq uint64) error {
	<-f.broken
	f.reported.Store(true)
	var re *frame.RankError
	if errors.As(f.cause, &re) && re.Op == 0 {
		named := *re
		named.Op, named.Seq = call, seq
		return &named
	}
	return f.cause
}

// Unreported is a disagreement of the ranks that came to light after the last
// call of this one had ended well.
func (f *Failure) Unreported() error {
	select {
	case <-f.broken:
	default:
		return nil
	}
	var m *frame.MismatchError
	var remote *frame.RemoteError
	switch {
	case f.reported.Swap(true):
	case errors.As(f.cause, &m):
		return m
	case errors.Is(f.cause, errOtherCalls), errors.As(f.cause, &remote) && remote.Disagree:
		return f.cause
	}
	return nil
}

// NewFailure is that of a rank which has not failed; t is nil for one alone.
func NewFailure(t frame.Transport, rank, size int) *Failure {
	return &Failure{t: t, rank: rank, size: size, broken: make(chan struct{})}
}

// Broken closes on the first failure.
func (f *Failure) Broken() <-chan struct{} { return f.broken }

// peerLeft ends the communicators because a peer left before a call that it is
// needed in; everybody has heard its goodbye, so there is nothing to tell.
func (f *Failure) peerLeft(peer int, last uint64) {
	f.End(&frame.RankError{Rank: f.rank, Peer: peer, Err: fmt.Errorf("it closed its communicator after call #%d", last)}, false)
}
