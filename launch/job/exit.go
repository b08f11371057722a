package job

import (
	"syscall"
	"time"

	"vgid/launch"
)

// Exit is how a worker ended, as the agent of its node saw it.
type Exit struct {
	Rank    int           `json:"rank"`
	Code    int           `json:"code"`              // exit code; 0 with Signal or Err
	Signal  int           `json:"signal,omitempty"`  // that killed it
	Err     string        `json:"err,omitempty"`     // why it did not even start
	Stood   time.Duration `json:"stood,omitempty"`   // it was killed because it had stood still for so long
	LogErr  string        `json:"logErr,omitempty"`  // why its output is not whole although it ended well
	Stopped bool          `json:"stopped,omitempty"` // after the launcher asked it to
	Line    string        `json:"line,omitempty"`    // its last words on standard error
	More    bool          `json:"more,omitempty"`    // ... which are part of a longer report
	Log     string        `json:"log,omitempty"`     // path on its node
	AtMilli int64         `json:"at"`                // Unix time of its node
}

// OK reports whether the worker did its work, and its output is whole.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 && e.Err == "" && e.LogErr == "" }

// guilt orders failures by how much an end says about the worker itself: the
// lower, the more likely it is the first cause.
type guilt int

const (
	byItself       guilt = iota // nobody had asked it to end, and it blames nobody
	whileStopping               // it was asked to end, but ended in another way than asked
	blamesPeer                  // it says that a peer failed
	becauseStopped              // it ended as it was asked to
)

// guilt reads it from the way a worker ended. A shell around the worker turns
// the signal that killed it into 128 plus its number.
func (e Exit) guilt() guilt {
	asked := e.Signal == int(syscall.SIGTERM) || e.Signal == int(syscall.SIGKILL) || e.Signal == int(syscall.SIGINT) ||
		e.Code == 128+int(syscall.SIGTERM) || e.Code == 128+int(syscall.SIGINT)
	switch {
	case e.Code == launch.ExitPeerFailed && !e.Stopped:
		return blamesPeer
	case !e.Stopped:
		return byItself
	case asked || e.Code == launch.ExitPeerFailed:
		return becauseStopped
	}
	return whileStopping
}
