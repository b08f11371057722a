package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/collective/collbench"
	"vgid/collective/netlab"
)

// collective measures collectives over loopback, the transport's cost without a network's.
func collective() *cli.Command {
	return &cli.Command{
		Name: "collective", Usage: "collectives between processes, beside Gloo and Open MPI: time, bus bandwidth as NCCL defines it",
		Description: `Every program keeps its processes; they work in turn, and all results are checked once. A round begins with two calls that do not
count and a barrier before each call; the time of a call is the slowest rank's. Gloo runs through torch.distributed with one thread; openmpi goes by
TCP, openmpi-shm by shared memory. With --rate, and --delay, each of our processes is on a node of its own of a network that is made for it (Linux,
root), and no peers are measured. A process takes the largest size, for calls with two buffers twice, and some more in those programs that need it; the
processes of all programs of one number of processes live at the same time.`,
		Flags: append(networkFlags("", 0),
			cmdline.JSONFlag(),
			numbersFlag("procs", "numbers of processes, each measured", 2, 4),
			numbersFlag("bytes", "lengths of the longest buffer of a rank, each measured (default: 4 KiB to 256 MiB)"),
			namesFlag("call", "collectives, each measured: all, or of "+strings.Join(collbench.Calls(), ", "), "all-reduce"),
			&cli.StringFlag{Name: "dtype", Usage: "type of the elements: f32, f64, bf16, f16, i32, i64, u8", Value: "f32"},
			namesFlag("transport", "ways between the processes, each measured: "+strings.Join(collbench.Transports, ", "), collbench.Transports[0]),
			namesFlag("algorithm", "algorithms, each measured: all, or of "+strings.Join(collbench.Algorithms, ", "), collbench.Algorithms[0]),
			namesFlag("peer", "programs to measure in turn with ours: "+strings.Join(collbench.Peers, ", ")),
			pythonFlag("PyTorch, for --peer gloo"),
			&cli.IntFlag{Name: "rounds", Usage: "rounds of all programs in turn", Value: 5},
		),
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Positive(c, "rounds"); err != nil {
				return nil, err
			}
			var over *netlab.Spec
			if c.IsSet("rate") || c.IsSet("delay") {
				spec, err := networkSpec(c, 2) // of as many nodes as processes
				if err != nil {
					return nil, err
				}
				over = &spec
			}
			r, err := collbench.Run(c.Context, collbench.Options{
				Procs: c.IntSlice("procs"), Sizes: c.IntSlice("bytes"), Calls: allOr(names(c, "call"), collbench.Calls()), DType: c.String("dtype"),
				Transports: names(c, "transport"), Algorithms: allOr(names(c, "algorithm"), collbench.Algorithms), Peers: names(c, "peer"), Python: c.String("python"), Rounds: c.Int("rounds"), Network: over,
			})
			return r, withPython(err)
		}),
	}
}

// withPython adds to the error of a Gloo that cannot be started which flag names a Python.
func withPython(err error) error {
	var missing *collbench.PeerError
	if errors.As(err, &missing) && missing.Peer == "gloo" {
		return fmt.Errorf("%w; name it with --python", err)
	}
	return err
}

// allOr are names, or all where one of them is "all".
func allOr(names, all []string) []string {
	if slices.Contains(names, "all") {
		return all
	}
	return names
}

// namesFlag takes names one by one, or several with commas between them; all are what it holds without the flag.
func namesFlag(name, usage string, all ...string) cli.Flag {
	return &cli.StringSliceFlag{Name: name, Usage: usage, Value: cli.NewStringSlice(all...)}
}

// names reads it. Names have no commas, so they may stand between them, as between numbers.
func names(c *cli.Context, flag string) (out []string) {
	for _, s := range c.StringSlice(flag) {
		out = append(out, strings.Split(s, ",")...)
	}
	return out
}
