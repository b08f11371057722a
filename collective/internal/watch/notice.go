package watch

import (
	"encoding/json"
	"errors"

	"vgid/collective/frame"
)

// Notices between communicators: one byte of kind, then the content.
const (
	noticeAlive = 'h' // a sign of life, see table
	noticeAbort = 'a' // an abortNotice as JSON
	noticeAsk   = 'r' // take a record of your calls; the rest is why
	maxNotice   = 4096
)

// abortNotice carries a first cause to the other ranks.
type abortNotice struct {
	From     int                  `json:"from"` // the rank that saw it
	Blame    int                  `json:"blame"`
	Message  string               `json:"message"`
	Mismatch *frame.MismatchError `json:"mismatch,omitempty"`
	Disagree bool                 `json:"disagree,omitempty"` // of RemoteError
}

func encodeAbort(rank int, cause error) []byte {
	n := abortNotice{From: rank, Blame: rank, Message: cause.Error()}
	var re *frame.RankError
	var remote *frame.RemoteError
	if errors.As(cause, &remote) { // passed on
		n.From, n.Message, n.Disagree = remote.From, remote.Message, remote.Disagree
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
		return &frame.RankError{Rank: rank, Peer: from, Err: &frame.RemoteError{From: from, Message: "unreadable notice of failure"}}
	}
	if n.Mismatch != nil {
		return n.Mismatch
	}
	return &frame.RankError{Rank: rank, Peer: n.Blame, Err: &frame.RemoteError{From: n.From, Message: n.Message, Disagree: n.Disagree}}
}
