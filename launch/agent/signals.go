//go:build unix

package agent

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals are those that Run and RunLocal understand, but for the end of a
// terminal where this process is to survive it (nohup).
func Signals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// surviveSilently makes this process survive signals without looking at them.
// To ignore them would make the workers ignore them, too: that is inherited.
func surviveSilently(signals ...os.Signal) {
	signal.Notify(make(chan os.Signal, 1), signals...)
}

// SurvivePipe makes a write to a closed pipe an error instead of the end of
// this process: who reads the output may stop early, the job goes on.
func SurvivePipe() { surviveSilently(syscall.SIGPIPE) }
