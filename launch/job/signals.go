package job

import (
	"syscall"
	"time"
)

// request is what a signal to the launcher asks for.
type request int

const (
	requestNone request = iota
	requestPass         // pass it on to this node's workers and go on
	requestEnd          // end the job: ask all workers, and give them the grace
	requestKill         // end it without
)

// SameKeystroke is how long two SIGINTs count as one: a terminal and another
// launcher may both deliver what a person pressed once.
const SameKeystroke = 200 * time.Millisecond

// patience understands a series of signals. Schedulers repeat theirs, and send
// them to every process of a job, within milliseconds: Slurm sends SIGTERM
// twice at a time limit. So only SIGINT, which a person presses again, shows
// impatience.
type patience struct {
	asked bool
	intAt time.Time // of the first SIGINT
}

func (p *patience) take(s syscall.Signal, now time.Time) request {
	if passedOn(s) {
		return requestPass
	}
	first := !p.asked
	p.asked = true
	if s == syscall.SIGINT {
		switch {
		case p.intAt.IsZero():
			p.intAt = now
		case now.Sub(p.intAt) >= SameKeystroke:
			return requestKill
		}
	}
	if first {
		return requestEnd
	}
	return requestNone
}

// passedOn reports whether a signal is for the workers alone: schedulers
// announce with it that they will end the job.
func passedOn(s syscall.Signal) bool { return s == syscall.SIGUSR1 || s == syscall.SIGUSR2 }

// EndsJob reports whether one agent may ask another to end the job with this
// signal. Any other in a report is forged, or of a version that knows more.
func EndsJob(s syscall.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGTERM || s == syscall.SIGHUP
}
