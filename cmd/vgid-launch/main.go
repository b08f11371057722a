// vgid-launch runs one command as the ranks of a job, on this machine or on
// several; see package launch.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"vgid/cmd/internal/argv"
	"vgid/launch"
	"vgid/launch/agent"
	"vgid/launch/job"
)

// agent.Child comes first: with --local this program starts itself once for each node, and such a
// process has its settings from its parent. Exit codes are the job's (0, a worker's own, 128 and
// a signal's number), or 1 where it could not begin.
func main() {
	if agent.Child(agent.IO{Stdout: os.Stdout, Stderr: os.Stderr, Say: say}, words) {
		return
	}
	agent.SurvivePipe()
	code := 0
	app := newApp(func(c *cli.Context) error {
		var err error
		code, err = run(c)
		return err
	})
	if err := app.Run(bareBooleans(app, os.Args)); err != nil {
		say(err)
		// Interrupted before the job had begun: the status tells the signal all the same.
		var i job.InterruptedError
		if code = 1; errors.As(err, &i) {
			code = 128 + int(i.Signal)
		}
	}
	os.Exit(code)
}

// bareBooleans lets boolean flags have their value as a word of its own.
// Package flag reads "--local false" as the flag and a first argument.
func bareBooleans(app *cli.App, args []string) []string {
	flags := argv.Flags{}
	flags.Add(app.Flags)
	return slices.Concat(args[:1], flags.Booleans(args[1:]))
}

// usage shows command lines that start jobs as they stand, once the addresses are real.
const usage = `vgid-launch [flags] -- COMMAND [ARGUMENTS]

On one machine:
   vgid-launch --nodes 2 --local -- vgid unlearn
On two, whose addresses are A and B, with the same FILE on both:
   vgid-launch --nodes 2 --bind-addr A --insecure-network --secret-file FILE -- vgid unlearn
   vgid-launch --nodes 2 --bind-addr B --insecure-network --secret-file FILE --join A:7946 -- vgid unlearn
What the ranks of a job that failed were doing:
   vgid-launch explain FILE`

// newApp declares the command line.
// Flags end at --, behind which the command stands with flags of its own.
// action runs where the flags could be read; --version and --help end before it.
func newApp(action cli.ActionFunc) *cli.App {
	return &cli.App{
		Name:      "vgid-launch",
		Version:   launch.Version(),
		Usage:     "run a command as the ranks of a distributed job",
		UsageText: usage,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Value: 1, Usage: "`N` nodes take part"},
			&cli.StringFlag{Name: "nproc-per-node", Value: "1", Usage: "`N` workers on this node; gpu: one per GPU; auto: the same, or 1 without GPU"},
			&cli.BoolFlag{Name: "local", Usage: "run all nodes on this machine, one agent process each"},
			&cli.StringSliceFlag{Name: "join", Usage: "`HOST:PORT` of an agent of the job (repeatable)"},
			&cli.StringFlag{Name: "bind-addr", Value: "127.0.0.1", Usage: "`IP` address to listen on, or the network that this machine has it in, as 10.0.0.0/8"},
			&cli.StringFlag{Name: "advertise-addr", Usage: "`IP` address at which the other nodes reach this one", DefaultText: "--bind-addr"},
			&cli.IntFlag{Name: "port", Value: 7946, Usage: "TCP and UDP `PORT` of the agent; 0 takes any free one (always so with --local)"},
			&cli.BoolFlag{Name: "insecure-network", Usage: "permit addresses other than loopback, although what workers tell each other is not encrypted"},
			&cli.StringFlag{Name: "secret-file", Usage: "`FILE` with a secret that all nodes share, readable by its owner only (or VGID_SECRET): agents without it are not heard"},
			&cli.StringFlag{Name: "job", Value: "vgid", Usage: "`NAME` of the job, the same on all nodes"},
			&cli.StringFlag{Name: "node-name", Usage: "`NAME` of this node in messages", DefaultText: "host name"},
			&cli.IntFlag{Name: "node-rank", Value: -1, DefaultText: "nodes without --join first", Usage: "nodes of a smaller `I` get the lower ranks"},
			&cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "longest `TIME` for the nodes to come together"},
			&cli.DurationFlag{Name: "grace", Value: 30 * time.Second, Usage: "`TIME` between SIGTERM and SIGKILL when workers are stopped, for a last checkpoint"},
			&cli.StringFlag{Name: "log-dir", Usage: "also write the output of every rank to `DIR`/rankN.log"},
		},
		HideHelpCommand: true,
		Commands:        []*cli.Command{explainCommand()},
		Action:          action,
		// One line that names the fault, instead of the whole help around it.
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			const help = "vgid-launch --help"
			return argv.UsageError(err, help, func(string) string { return help + " lists them, and those of the command go after --" })
		},
	}
}

// run starts the job and returns the exit code.
// The last line on standard error is the cause; the workers' own output has gone by before it.
func run(c *cli.Context) (int, error) {
	o, said, err := options(c, os.LookupEnv)
	if err != nil {
		return 0, err
	}
	os.Unsetenv(launch.EnvSecret) // not for the workers
	for _, s := range said {
		fmt.Fprintf(os.Stderr, "vgid-launch: %s\n", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	io := agent.IO{Stdout: os.Stdout, Stderr: os.Stderr, Say: say, Signals: signals(ctx)}
	kept, err := newRecords(o.LogDir)
	if err != nil {
		return 0, err
	}
	o.Records = kept.dir
	start := agent.Run
	if c.Bool("local") {
		start = agent.RunLocal
	}
	out, err := start(ctx, o, io)
	if err != nil {
		return 0, err
	}
	if out.Cause == nil {
		if err := kept.remove(); err != nil {
			say(err)
		}
	} else {
		kept.tell()
		why := ""
		if out.Interrupted != 0 {
			why = fmt.Sprintf("interrupted (%s); ", unix.SignalName(out.Interrupted))
		}
		fmt.Fprintf(os.Stderr, "vgid-launch: %s%s\n", why, causeWords(*out.Cause))
	}
	return out.Code(), nil
}

// options reads the flags and, for what they leave open, the environment; said is what it took
// from there, since a user who set nothing would wonder.
func options(c *cli.Context, lookup func(string) (string, bool)) (o agent.Options, said []string, err error) {
	procs, err := agent.Procs(c.String("nproc-per-node"))
	if err != nil {
		return agent.Options{}, nil, err
	}
	bind, err := ownAddress(c.String("bind-addr"), net.InterfaceAddrs)
	if err != nil {
		return agent.Options{}, nil, err
	}
	o = agent.Options{
		Command: c.Args().Slice(), Nodes: c.Int("nodes"), Procs: procs, MachineWorkers: procs,
		Job: c.String("job"), Node: c.String("node-name"), Index: c.Int("node-rank"),
		BindAddr: bind, AdvertiseAddr: c.String("advertise-addr"), Port: c.Int("port"),
		Join: c.StringSlice("join"), InsecureNetwork: c.Bool("insecure-network"),
		Timeout: c.Duration("timeout"), Grace: c.Duration("grace"), LogDir: c.String("log-dir"),
		Colour: os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	if c.Bool("local") {
		for _, f := range []string{"join", "advertise-addr", "port", "node-rank", "node-name"} {
			if c.IsSet(f) {
				return o, nil, fmt.Errorf("--%s with --local: the nodes on one machine find each other by themselves; leave one of the two out", f)
			}
		}
		if s := c.String("nproc-per-node"); o.Nodes > 1 && s != "1" && (s == "gpu" || s == "auto" && procs > 1) {
			return o, nil, fmt.Errorf("--nproc-per-node %s with --local and %d nodes: each node would claim all GPUs of this machine; use --nodes 1", s, o.Nodes)
		}
		o.Node = "node0"
	}
	// After the flags, as it fills in only what they leave open, and contradictions are told.
	outer, err := launch.FindOuter(lookup)
	if err != nil {
		return o, nil, err
	}
	taken, err := adopt(&o, outer, c.IsSet)
	if err != nil {
		return o, nil, err
	}
	var open string
	if o.Secret, open, err = secret(c.String("secret-file"), o, c.Bool("local"), lookup); err != nil {
		return o, nil, err
	}
	for _, s := range []string{taken, open} {
		if s != "" {
			said = append(said, s)
		}
	}
	if o.Index < 0 {
		// A node that joins nobody comes first: the others join it.
		o.Index = min(len(o.Join), 1)
	}
	if o.Node == "" {
		if o.Node, err = os.Hostname(); err != nil {
			return o, nil, fmt.Errorf("no host name: %w; give --node-name", err)
		}
	}
	return o, said, nil
}

// signals delivers what a person or a scheduler wants until ctx ends.
// Signals that come while the receiver is busy wait in the channel; more than four of them say
// nothing new.
// It never closes: who takes signals stops with ctx as well.
func signals(ctx context.Context) <-chan syscall.Signal {
	in := make(chan os.Signal, 4)
	signal.Notify(in, agent.Signals()...)
	out := make(chan syscall.Signal)
	go func() {
		for {
			select {
			case s := <-in:
				select {
				case out <- s.(syscall.Signal):
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
