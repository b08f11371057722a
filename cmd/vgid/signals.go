package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"vgid/vgid/run/barrier"
)

// inOrder is set by commands that answer to a signal themselves, by ending as
// soon as nothing is lost by it. The others have no work to lose and are ended.
// It is atomic because the goroutine of untilSignal reads it.
var inOrder atomic.Bool

// endInOrder says that this command has work to lose: it answers to signals itself,
// and whoever reads its output may stop early (head, a connection that breaks)
// without ending it.
// It is called once the command has something that a sudden end would lose, not before.
func endInOrder() {
	inOrder.Store(true)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // the write fails instead
}

// patience is how long a command that knows nothing of signals has for its end.
const patience = 2 * time.Second

// untilSignal is a context that the first signal to end this process cancels; its
// cause is a *barrier.Interrupted. Schedulers repeat SIGTERM and send it to every
// process of a job, so more of the same change nothing: only a second SIGINT is a
// person's, and ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	// Room for what comes while one is handled: a signal without room is dropped.
	in := make(chan os.Signal, 16)
	// SIGUSR1 and SIGUSR2 are how schedulers announce that they will take the
	// machine away (Slurm's --signal).
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(in, syscall.SIGHUP)
	}
	go func() { // as long as the process
		interrupts := 0
		for s := range in {
			// Its Kept is empty here: what is kept is known where the work ends.
			by := &barrier.Interrupted{Signal: s.(syscall.Signal)}
			if s == syscall.SIGINT {
				interrupts++
			}
			if interrupts > 1 {
				by.Kept = "twice: ended at once, what was in progress is lost"
				exit(by)
			}
			if ctx.Err() == nil {
				cancel(by)
				// Asked when the time is over: a command may have begun work that it ends in order.
				time.AfterFunc(patience, func() {
					if !inOrder.Load() {
						exit(by)
					}
				})
			}
		}
	}()
	return ctx
}

// ownEnd replaces an error that only says that ctx ended by why it did. What
// failed by itself stays what it is.
// The exit status depends on it: 128 and the signal's number only where the signal was the reason.
func ownEnd(ctx context.Context, err error) error {
	var i *barrier.Interrupted
	if err == nil || errors.As(err, &i) || !errors.As(context.Cause(ctx), &i) || !errors.Is(err, context.Canceled) {
		return err
	}
	return i
}
