package job

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"vgid/launch"
)

// Outcome is how a job ended.
type Outcome struct {
	Cause       *Cause         `json:"cause,omitempty"`       // nil when every rank succeeded
	Interrupted syscall.Signal `json:"interrupted,omitempty"` // by which somebody ended it
}

// Code is the exit code for the launcher.
func (o Outcome) Code() int {
	if o.Cause == nil {
		return 0
	}
	// A rank may hear of the end of another before the signal itself.
	if o.Interrupted != 0 && o.Cause.Code == launch.ExitPeerFailed {
		return 128 + int(o.Interrupted)
	}
	return o.Cause.Code
}

// Cause is why a job failed.
type Cause struct {
	Rank   int    // -1 when a whole node was lost
	Node   string // name of the node
	Code   int    // exit code for the launcher, > 0
	Text   string // one line
	Advice Advice `json:",omitempty"` // what would help; the program words it, for it names options
}

// Advice is what a person can do about a Cause, or to learn more of it.
type Advice string

// The advices.
const (
	KeepReport Advice = "keep-report" // the whole report went by in the output of Cause.Node; a log would keep it
	MakeRoom   Advice = "make-room"   // output was lost: keep it open, and make room for logs
)

// InterruptedError ends an agent that was told to stop before workers ran.
type InterruptedError struct{ Signal syscall.Signal }

func (e InterruptedError) Error() string {
	return fmt.Sprintf("interrupted (%s) before the workers were started", unix.SignalName(e.Signal))
}
