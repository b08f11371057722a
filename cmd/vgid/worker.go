package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/internal/remedy"
	"vgid/cmd/vgid/internal/cmdline"
	"vgid/collective"
	"vgid/collective/flight"
	"vgid/collective/wire"
	"vgid/launch"
	"vgid/model/backend"
	"vgid/model/kit/safefile"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run"
)

// withJob makes this process a worker: its place among the others, its device,
// its metrics. It runs f and takes everything down again.
// What is opened is closed in the opposite order, the communicator last: by then the device is free and the
// run folder unlocked. An error is printed before that, so that the first worker to fail is heard before
// its peers lose it.
func withJob(c *cli.Context, f func(context.Context, *run.Job) error) (err error) {
	if err := cmdline.FlagsOnly(c); err != nil {
		return err
	}
	// In this order: what is wrong with the command line is said before any other worker is
	// waited for.
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	w, err := launch.FromEnv()
	if err != nil {
		return remedy.Worker(err)
	}
	boundGarbage(w.MachineWorkers())
	comm, err := connect(c.Context, w, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(complain(ownEnd(c.Context, err)), comm.Close()) }()
	// The launcher tells of dead workers sooner than their connections do, if these are silent.
	defer w.OnLost(func(rank int, why string) { comm.PeerLost(rank, errors.New(why)) })()
	// A signal may be somebody's answer to a job that hangs.
	defer context.AfterFunc(c.Context, func() { comm.Stuck("asked to end (" + context.Cause(c.Context).Error() + ")") })()
	// Behind connect: a worker that finds no device tells its peers by closing its connections.
	be, place, err := openDevice(cfg, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, be.Close()) }()

	// The signal that asks the job to end does not cut off what it does: the job
	// ends where it can.
	endInOrder()
	// Asked, below, is the context that the signal ends; this one ends with the function.
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context))
	defer cancel()
	job := run.New(run.Options{
		Config: cfg, Comm: comm, Backend: be, Metrics: newMetrics(w, comm, be), Show: progressOf(w),
		Place: place, Node: w.Node, Command: asked(c), Asked: c.Context, Spell: asFlag,
	})
	defer func() { err = errors.Join(err, job.Close()) }()
	if err := job.Open(ctx); err != nil {
		return err
	}
	stop, err := serveMetrics(ctx, w, job)
	if err != nil {
		return err
	}
	defer func() { _ = stop() }() // how a server ends is nothing to the work
	defer func() { err = errors.Join(err, job.Targets.Withdraw()) }()
	job.Show.Printf("%d worker(s)%s, %s, run folder %s", w.WorldSize, reach(comm.Stats()), be.Name(), job.Dir())
	if err := f(ctx, job); err != nil {
		job.Show.Break()
		return err
	}
	if err := job.Show.Err(); err != nil { // not wrapped: what complain adds to some errors is about files
		return fmt.Errorf("lines are missing in the output (%s); the work is done, its files are in %s", err.Error(), job.Dir())
	}
	return nil
}

// reach says how this worker reaches others, of whom there are none in a job of one.
func reach(s collective.Stats) string {
	switch {
	case s.Connections == 0:
		return ""
	case s.SharedMemory == s.Connections:
		return " (shared memory)"
	case s.SharedMemory == 0:
		return " (gRPC)"
	}
	return fmt.Sprintf(" (shared memory on %d of rank 0's %d connections, gRPC on the others)", s.SharedMemory, s.Connections)
}

// asFlag is how a user gives a setting a value: every one is a flag of its path.
// Package run gives settings by path and value, as it knows no flags.
// A value is never quoted: those that are advised hold no blanks.
func asFlag(path, value string) string {
	if value == "" {
		return "--" + path
	}
	return "--" + path + " " + value
}

// progressOf is where a worker shows how far it is: rank 0 alone speaks.
// The others' lines would be the same, as ranks take the same steps.
func progressOf(w launch.Worker) *monitor.Progress {
	if w.Rank != 0 {
		return monitor.NewProgress(nil)
	}
	return monitor.NewProgress(os.Stdout)
}

// newMetrics names this worker's numbers by rank and host. Bytes and waits are read when Prometheus asks.
// Nothing is served before serveMetrics.
func newMetrics(w launch.Worker, comm *collective.Comm, be backend.Backend) *monitor.Metrics {
	m := monitor.NewMetrics(w.Rank, w.WorldSize, func() (uint64, uint64) {
		s := comm.Stats()
		return s.BytesSent, s.BytesReceived
	})
	host, _ := os.Hostname() // a label of the metrics; without it, an empty one
	m.Describe(launch.Version(), be.Name(), host, w.NodeRank)
	m.Peers(w.Rank, func() monitor.Waits {
		s := comm.Stats()
		return monitor.Waits{Waited: s.Waited, Held: s.Held}
	})
	return m
}

// serveMetrics answers Prometheus until stop, and says where, as the configuration
// has it. All ranks call it.
// That all call it does not mean that all listen: with no address each publishes an empty target, as
// Publish is a meeting of all ranks. Its stop may always be called.
//
// The address is found in three steps: what the configuration says, where this worker is
// reached (monitor.Resolve), and the port that was free.
func serveMetrics(ctx context.Context, w launch.Worker, job *run.Job) (stop func() error, err error) {
	stop = func() error { return nil }
	c := job.Config.Metrics
	var reach monitor.Reach
	// Where the workers reach each other decides what an address without a host stands for.
	if w.Listener != nil {
		reach.Own, _, _ = net.SplitHostPort(w.Peers[w.Rank])
		reach.Bind, _, _ = net.SplitHostPort(w.Listener.Addr().String())
	}
	target := run.Target{Machine: reach.Machine()}
	if c.Addr != "" {
		end, err := monitor.Resolve(c.Addr, reach, c.InsecureNetwork, net.InterfaceAddrs)
		if err != nil {
			return stop, err
		}
		if end.Note != "" {
			job.Show.Printf("note: %s", end.Note)
		}
		var addr string
		if addr, stop, err = job.Metrics.Serve(ctx, end.Listen, w.MachineRank()); err != nil {
			return func() error { return nil }, err
		}
		_, port, _ := net.SplitHostPort(addr)
		target.Addr = net.JoinHostPort(end.Host, port)
	}
	if err := job.Targets.Publish(ctx, target); err != nil {
		return stop, errors.Join(err, stop())
	}
	return stop, nil
}

// asked is the command line but for the configuration: "eval --model m".
// The ranks compare it (run.Options.Command), and their configurations by themselves.
// A rank that was started for another command would wait for the others in other operations.
func asked(c *cli.Context) string {
	set := map[string]bool{"config": true, "c": true, "preset": true}
	for _, f := range config.Fields() {
		set[f.Path] = true
	}
	// Only flags that were given, by their first names, so that a short form is no difference.
	words := []string{cmdline.Name(c)}
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; !set[name] && c.IsSet(name) {
			words = append(words, fmt.Sprintf("--%s %v", name, c.Value(name)))
		}
	}
	return strings.Join(words, " ")
}

// keepRecord writes the last calls of this worker where its launcher looks for them.
// An error is not printed, as it could be taken for the reason why this worker ends: the launcher says of
// which ranks it finds no record.
func keepRecord(w launch.Worker) func(collective.Record) {
	if w.Records == "" {
		return nil
	}
	return func(r collective.Record) {
		b, err := r.JSON()
		if err != nil || os.MkdirAll(w.Records, 0o700) != nil {
			return
		}
		_ = safefile.WriteBytes(filepath.Join(w.Records, flight.Name(w.Rank)), b)
	}
}

// connect joins the group that the environment describes. One worker has nobody to wait for and opens no
// socket. Late and slow peers are reported on standard error while the operation still waits.
// The launcher has opened this worker's listener, so that no other program can take its port
// meanwhile.
func connect(ctx context.Context, w launch.Worker, cfg config.Config) (*collective.Comm, error) {
	if w.WorldSize == 1 {
		return collective.Solo(), nil
	}
	id, err := identity(w.TLS, cfg.Collective.TLS)
	if err != nil {
		return nil, err
	}
	t, err := wire.Connect(ctx, wire.Config{
		TLS: id,
		Job: w.Job, Epoch: w.Epoch, Token: w.Token, Rank: w.Rank, Peers: w.Peers, Listener: w.Listener,
		Stock: cfg.Collective.Transport == "grpc-stock", Memory: cfg.Collective.Transport == "auto",
	})
	if err != nil {
		return nil, fmt.Errorf("rank %d: %w", w.Rank, err)
	}
	as := collective.TypeF32
	if cfg.Collective.Wire == "bfloat16" {
		as = collective.TypeBF16
	}
	return collective.New(t, collective.Options{Job: w.Job, Epoch: w.Epoch, Timeout: cfg.Collective.Timeout,
		Algorithm: collective.Algorithm(cfg.Collective.Algorithm), Hosts: w.Machines(), Wire: as,
		OnLate:    func(l collective.Late) { fmt.Fprintf(os.Stderr, "vgid: %v\n", l) },
		OnSlow:    func(s collective.Slow) { fmt.Fprintf(os.Stderr, "vgid: %v\n", s) },
		OnFailure: keepRecord(w)})
}
