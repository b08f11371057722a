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

	"vgid/collective"
	"vgid/collective/collbench"
	"vgid/launch"
	"vgid/vgid"
)

func main() {
	if ran, err := collbench.WorkerMain(); ran {
		exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(app().RunContext(ctx, os.Args))
}

func app() *cli.App {
	return &cli.App{
		Name:  "vgid",
		Usage: "make vision-language models forget",
		Commands: []*cli.Command{
			runCommand(), dataCommand(), trainCommand(), unlearnCommand(), evalCommand(),
			mergeCommand(), scoreCommand(), benchCommand(), configCommand(),
		},
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {}, // exit prints, once
		// Values may hold commas; lists are split by the config package.
		DisableSliceFlagSeparator: true,
	}
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "vgid: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	var peer *collective.RankError
	var lead *vgid.LeadError
	switch {
	case errors.As(err, &peer), errors.As(err, &lead): // another worker is the cause, and says so
		os.Exit(launch.ExitPeerFailed)
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	}
	os.Exit(1)
}

// args refuses stray arguments, which are most often a flag without dashes.
func args(c *cli.Context, want int, usage string) error {
	if c.NArg() != want {
		return fmt.Errorf("%s: %d arguments given, want %s", c.Command.FullName(), c.NArg(), usage)
	}
	return nil
}
