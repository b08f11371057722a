// Command vgid makes a vision-language model forget people. See the README.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/bench"
	"vgid/cmd/vgid/internal/cmdline"
	"vgid/collective"
	"vgid/launch"
	"vgid/model/adapter"
	"vgid/model/backend"
	"vgid/model/cuda"
	"vgid/model/hf"
	"vgid/vgid/run/barrier"
)

// Results go to standard output and all else to standard error, so that a result can be piped. Benches start
// this program again as their workers: that is looked for first, as such a process has no command line.
func main() {
	if ran, err := bench.WorkerMain(); ran {
		exit(err)
	}
	// withJob sets it once more when it knows how many workers share the machine.
	boundGarbage(1)
	ctx := untilSignal()
	err := app().RunContext(ctx, bareBooleans(os.Args))
	// Before exit, which runs no deferred function.
	cmdline.RemoveScratch()
	exit(ownEnd(ctx, err))
}

// app declares the commands. It is a function because bareBooleans asks it for the flags of all of them
// before a command line is parsed, and because tests run it.
// A command is declared in a file of its name; what several share is package cmdline.
func app() *cli.App {
	a := &cli.App{
		Name:    "vgid",
		Version: launch.Version(),
		Usage:   "make vision-language models forget",
		Commands: []*cli.Command{
			runCommand(), dataCommand(), trainCommand(), unlearnCommand(), evalCommand(),
			summaryCommand(), mergeCommand(), scoreCommand(), forwardCommand(), generateCommand(),
			tokenizeCommand(), inspectCommand(), bench.Command(), selftestCommand(), configCommand(),
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

// told is an error that was printed already.
// It keeps an error from being printed twice: a worker complains before it closes its connections, and exit
// sees the same error again.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// complain prints why this process ends: before it takes leave of others, who may
// see to it that it ends sooner than it can say so.
// What it gives back is the same error, marked as printed.
func complain(err error) error {
	// Looked for through whatever was wrapped around it since.
	var t told
	if err == nil || errors.As(err, &t) {
		return err
	}
	fmt.Fprintln(os.Stderr, "vgid: "+inALine(err))
	return told{err}
}

// inALine is an error with what helps against it, where the library that met it
// cannot know: which flags there are.
// One line per process: where a launcher merges the output of many workers, lines stay whole and the rest
// of an error is not taken for another's.
// What is added stands behind the error's own words, which say what and where.
func inALine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	// Found by the kinds of errors and not by their words, which may change.
	if errors.Is(err, syscall.ENOSPC) {
		text += "; free some space there, or choose another folder with --out"
	}
	var other *adapter.OtherBaseError
	if errors.As(err, &other) {
		text += ", or --any-base to use it all the same"
	}
	var isAdapter *hf.AdapterError
	if errors.As(err, &isAdapter) {
		text += " and this folder with --adapter, or merge the two first (vgid merge)"
	}
	if cuda.NoDevice(err) {
		text += ", or use --device cpu"
	}
	if cuda.Lost(err) {
		text += "; a run with checkpoints goes on with --resume"
	}
	var memory *backend.MemoryError
	if errors.As(err, &memory) {
		text += "; " + lowers(memory.Purpose)
	}
	return text
}

// lowers says which settings lower the need for such memory.
// The names of flags are here, since backend, whose error it is, serves programs without these.
// It advises by what the memory was for, as the error tells no more.
func lowers(p backend.Purpose) string {
	switch p {
	case backend.Weights:
		return "take a smaller model, or a larger card"
	case backend.Gradients, backend.Moments:
		return "train a LoRA adapter instead of all weights (--train.lora.r, --unlearn.lora.r), or one of lower rank"
	case backend.Activations, backend.Workspace:
		return "lower the batch (--train.batch, --unlearn.batch_forget, --unlearn.batch_retain, --eval.batch_tokens) or add workers"
	}
	return "lower the batch or take a larger card"
}

// exit ends the process: 0 when the work is done, 128 and the signal's number when one asked for the end,
// ExitPeerFailed where another worker failed, which tells the launcher to look for the cause there, and 1
// for all else, wrong command lines among them.
// Only this function and the runtime end the process.
func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	err = complain(err)
	var peer *collective.RankError
	var lead *barrier.PeerError
	var sig *barrier.Interrupted
	switch {
	// First: an interrupted run has errors of the others' ends in it, too.
	case errors.As(err, &sig):
		os.Exit(128 + int(sig.Signal))
	case errors.As(err, &peer), errors.As(err, &lead): // another worker is the cause, and says so
		os.Exit(launch.ExitPeerFailed)
	}
	os.Exit(1)
}
