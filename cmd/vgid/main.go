// Command vgid makes a vision-language model forget people. See the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"vgid/collective"
	"vgid/collective/collbench"
	"vgid/launch"
	"vgid/model/loadbench"
	"vgid/vgid"
)

func main() {
	for _, worker := range []func() (bool, error){collbench.WorkerMain, loadbench.WorkerMain} {
		if ran, err := worker(); ran {
			exit(err)
		}
	}
	ctx := untilSignal()
	exit(ownEnd(ctx, app().RunContext(ctx, bareBooleans(os.Args))))
}

func app() *cli.App {
	a := &cli.App{
		Name:    "vgid",
		Version: launch.Version(),
		Usage:   "make vision-language models forget",
		Commands: []*cli.Command{
			runCommand(), dataCommand(), trainCommand(), unlearnCommand(), evalCommand(),
			summaryCommand(), mergeCommand(), scoreCommand(), forwardCommand(), generateCommand(),
			tokenizeCommand(), inspectCommand(), benchCommand(), selftestCommand(), configCommand(),
		},
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {}, // exit prints, once
		// Values may hold commas; lists are split by the config package.
		DisableSliceFlagSeparator: true,
		Action:                    unknownCommand,
		OnUsageError:              usageError,
	}
	shortAnswers(a.Commands)
	return a
}

// interrupted ends a context because of a signal.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return "interrupted (" + unix.SignalName(i.signal) + ")" }

// untilSignal is a context that the first signal to end this process cancels;
// the second one ends it at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	in := make(chan os.Signal, 1)
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM)
	go func() { // as long as the process
		s := <-in
		signal.Stop(in)
		cancel(interrupted{s.(syscall.Signal)})
	}()
	return ctx
}

// ownEnd replaces an error that only says that ctx ended by why it did. What
// failed by itself stays what it is.
func ownEnd(ctx context.Context, err error) error {
	var i interrupted
	if err == nil || !errors.As(context.Cause(ctx), &i) || !errors.Is(err, context.Canceled) && !errors.As(err, &i) {
		return err
	}
	return i
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if errors.Is(err, syscall.ENOSPC) {
		text += "; free some space there, or choose another folder with --out"
	}
	fmt.Fprintln(os.Stderr, "vgid: "+text)
	var peer *collective.RankError
	var lead *vgid.LeadError
	var sig interrupted
	switch {
	case errors.As(err, &sig):
		os.Exit(128 + int(sig.signal))
	case errors.As(err, &peer), errors.As(err, &lead): // another worker is the cause, and says so
		os.Exit(launch.ExitPeerFailed)
	}
	os.Exit(1)
}
