//go:build unix

package agent

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// wish is what a signal to the launcher asks for.
type wish int

const (
	wishNothing wish = iota
	wishPass         // pass it on to this node's workers and go on
	wishEnd          // end the job: ask all workers, and give them the grace
	wishKill         // end it without
)

// sameKeystroke is how long two SIGINTs count as one: a terminal and another
// launcher may both deliver what a person pressed once.
const sameKeystroke = 200 * time.Millisecond

// patience understands a series of signals. Schedulers repeat theirs, and send
// them to every process of a job, within milliseconds: Slurm sends SIGTERM
// twice at a time limit. So only SIGINT, which a person presses again, shows
// impatience.
type patience struct {
	asked bool
	intAt time.Time // of the first SIGINT
}

func (p *patience) take(s syscall.Signal, now time.Time) wish {
	if passedOn(s) {
		return wishPass
	}
	first := !p.asked
	p.asked = true
	if s == syscall.SIGINT {
		switch {
		case p.intAt.IsZero():
			p.intAt = now
		case now.Sub(p.intAt) >= sameKeystroke:
			return wishKill
		}
	}
	if first {
		return wishEnd
	}
	return wishNothing
}

// passedOn reports whether a signal is for the workers alone: schedulers
// announce with it that they will end the job.
func passedOn(s syscall.Signal) bool { return s == syscall.SIGUSR1 || s == syscall.SIGUSR2 }

// endsJob reports whether one agent may ask another to end the job with it.
func endsJob(s syscall.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGTERM || s == syscall.SIGHUP
}

// Signals are those that Run and RunLocal understand, but for the end of a
// terminal where this process is to survive it (nohup).
func Signals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// deafen makes this process survive signals without looking at them. To ignore
// them would make the workers ignore them, too.
func deafen(signals ...os.Signal) {
	signal.Notify(make(chan os.Signal, 1), signals...)
}

// SurvivePipe makes a write to a closed pipe an error instead of the end of
// this process: who reads the output may stop early, the job goes on.
func SurvivePipe() { deafen(syscall.SIGPIPE) }
