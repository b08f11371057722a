// Package bench holds the subcommands of vgid bench: the flags of each, and how its result is shown. What
// measures is a package beside what it measures (model/cpu/gemmbench, vgid/stepbench, …).
//
// A new bench is a function here that gives its command, named in Command.
package bench

import (
	"io"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/collective/collbench"
	"vgid/model/cpu/gemmbench"
	"vgid/model/loadbench"
)

// Command has a subcommand for each bench.
// Those that run beside another program, if it is there, say so in their usage.
func Command() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure this machine", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			tokenize(), load(), gemm(), step(), checkpoint(), memory(), collective(), predict(), network(),
		},
	}
}

// WorkerMain does a worker's part when a bench started this process as one, by a variable of the environment,
// and says that it did; main then ends with err.
// A new bench that starts workers adds its own to the list.
func WorkerMain() (ran bool, err error) {
	for _, worker := range []func() (bool, error){collbench.WorkerMain, loadbench.WorkerMain} {
		if ran, err = worker(); ran {
			return ran, err
		}
	}
	return false, nil
}

// result is what a bench gives: JSON by its fields, a table for people.
// Its fields have JSON tags that stay: other programs read them.
type result interface{ Table(io.Writer) error }

// measured shows what run gives.
// A bench that fails prints nothing on standard output, so that half a table is never read as a result.
// No bench takes arguments. What its flags must be is checked by run, which alone knows them, before it measures.
func measured(run func(*cli.Context) (result, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := cmdline.FlagsOnly(c); err != nil {
			return err
		}
		r, err := run(c)
		if err != nil {
			return err
		}
		return cmdline.Show(c, r, r.Table)
	}
}

// threadsFlag is the numbers of threads, each of which is measured by itself.
// n are the numbers without the flag.
func threadsFlag(n ...int) cli.Flag {
	return numbersFlag("threads", "numbers of threads, each measured", n...)
}

// numbersFlag takes numbers one by one, or several with commas between them.
// n are the numbers without the flag.
// It has a Value also where n is empty: of a flag without one the library splits lists only if the whole
// program does (DisableSliceFlagSeparator), which would make one flag differ from the next.
func numbersFlag(name, usage string, n ...int) cli.Flag {
	return &cli.IntSliceFlag{Name: name, Usage: usage, Value: cli.NewIntSlice(n...)}
}

// pythonFlag names a Python that has what vgid is measured beside.
// Nothing is looked for without it: a result must not depend on which Python a machine happens to have.
func pythonFlag(with string) cli.Flag {
	return &cli.StringFlag{Name: "python", Usage: "`INTERPRETER` with " + with + "; without it vgid is measured alone"}
}

// gemm measures matrix products of the CPU's kernels.
func gemm() *cli.Command {
	return &cli.Command{
		Name: "gemm", Usage: "matrix products, beside OpenBLAS where it is installed",
		Flags: []cli.Flag{cmdline.JSONFlag(), threadsFlag(1, 2)},
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Positive(c, "threads"); err != nil {
				return nil, err
			}
			// OpenBLAS is looked for by its library and left out where there is none.
			return gemmbench.Run(c.Context, gemmbench.Options{Threads: c.IntSlice("threads"), OpenBLAS: true})
		}),
	}
}
