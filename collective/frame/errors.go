package frame

import (
	"errors"
	"fmt"
)

// ErrClosed is the cause of calls on a closed communicator.
var ErrClosed = errors.New("communicator is closed")

// RankError says on which rank which call failed, and which peer is to blame.
type RankError struct {
	Rank int    // the rank that returns the error
	Peer int    // the peer that failed or was waited for; -1: none
	Op   Call   // 0: between calls
	Seq  uint64 // number of the call
	Err  error
}

func (e *RankError) Error() string {
	s := fmt.Sprintf("collective: rank %d: ", e.Rank)
	if e.Op != 0 {
		s += fmt.Sprintf("%v #%d: ", e.Op, e.Seq)
	}
	if e.Peer >= 0 {
		s += fmt.Sprintf("peer rank %d: ", e.Peer)
	}
	return s + e.Err.Error()
}

func (e *RankError) Unwrap() error { return e.Err }

// BadFrameError says that what a transport received is no frame. It is the peer's fault, and
// nothing that the peer will explain, as it may why a stream has ended.
type BadFrameError struct{ Err error }

func (e *BadFrameError) Error() string { return e.Err.Error() }
func (e *BadFrameError) Unwrap() error { return e.Err }

// MismatchError says that two ranks made different calls where one and the
// same was due. Rank saw it; Local is its call and Remote the one of Peer.
type MismatchError struct {
	Rank, Peer    int
	Local, Remote Header
}

func (e *MismatchError) Error() string {
	detail := ""
	if e.Local.Job != e.Remote.Job {
		detail = " of another job"
	}
	return fmt.Sprintf("collective: ranks disagree: rank %d calls %v, rank %d calls %v%s; every rank must make the same calls in the same order",
		e.Rank, e.Local, e.Peer, e.Remote, detail)
}

// RemoteError is a cause that another rank reported.
type RemoteError struct {
	From    int // the rank that reported it
	Message string
	// disagree says that ranks which have ended all their calls well have made
	// others.
	Disagree bool
}

func (e *RemoteError) Error() string { return fmt.Sprintf("rank %d reports: %s", e.From, e.Message) }
