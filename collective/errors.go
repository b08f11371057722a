package collective

import (
	"encoding/json"
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
	disagree bool
}

func (e *RemoteError) Error() string { return fmt.Sprintf("rank %d reports: %s", e.From, e.Message) }

// Notices between communicators: one byte of kind, then the content.
const (
	noticeAlive = 'h' // a sign of life, see table
	noticeAbort = 'a' // an abortNotice as JSON
	maxNotice   = 4096
)

// abortNotice carries a first cause to the other ranks.
type abortNotice struct {
	From     int            `json:"from"` // the rank that saw it
	Blame    int            `json:"blame"`
	Message  string         `json:"message"`
	Mismatch *MismatchError `json:"mismatch,omitempty"`
	Disagree bool           `json:"disagree,omitempty"` // of RemoteError
}

func encodeAbort(rank int, cause error) []byte {
	n := abortNotice{From: rank, Blame: rank, Message: cause.Error()}
	var re *RankError
	var remote *RemoteError
	if errors.As(cause, &remote) { // passed on
		n.From, n.Message, n.Disagree = remote.From, remote.Message, remote.disagree
	}
	n.Disagree = n.Disagree || errors.Is(cause, errOtherCalls)
	if errors.As(cause, &re) && re.Peer >= 0 {
		n.Blame = re.Peer
	}
	errors.As(cause, &n.Mismatch)
	if len(n.Message) > maxNotice/4 {
		n.Message = n.Message[:maxNotice/4]
	}
	b, err := json.Marshal(n)
	if err != nil { // the struct holds nothing that JSON refuses
		b = []byte(`{}`)
	}
	return append([]byte{noticeAbort}, b...)
}

// decodeAbort gives the error that this rank returns for a peer's notice.
func decodeAbort(rank, from, size int, msg []byte) error {
	var n abortNotice
	if err := json.Unmarshal(msg, &n); err != nil || min(n.Blame, n.From) < 0 || max(n.Blame, n.From) >= size {
		return &RankError{Rank: rank, Peer: from, Err: &RemoteError{From: from, Message: "unreadable notice of failure"}}
	}
	if n.Mismatch != nil {
		return n.Mismatch
	}
	return &RankError{Rank: rank, Peer: n.Blame, Err: &RemoteError{From: n.From, Message: n.Message, disagree: n.Disagree}}
}
