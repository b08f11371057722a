package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/preflight"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
)

// Options are what a worker brings to a run.
type Options struct {
	Config  config.Config
	Comm    *collective.Comm
	Backend backend.Backend
	Metrics *monitor.Metrics
	Show    *monitor.Progress // silent on all ranks but 0
	Place   string            // what memory the device has: workers that say the same share it
	Node    string            // name of the node this worker runs on; may be empty

	// Spell is how the user gives a setting a value, for messages that advise one; nil:
	// its path.
	Spell config.Spelling

	// Command is what the workers were asked to do beside the configuration; all
	// must have been asked the same.
	Command string

	// Asked ends when this worker is asked to end in order: after the step it is
	// in, with a checkpoint, and elsewhere as soon as it can. Its cause is then a
	// *barrier.Interrupted. Nil: never.
	Asked context.Context

	// Opened are folders that other runs of this process read as well.
	Opened inputs.Opened
}

// Job is one run on one worker.
//
// What must hold: all ranks call the same methods in the same order, Open first and
// Close last; what a method gives is the same on all ranks, but for errors, which say
// on each whose they are; and what is not in the run's folder when a stage has ended is
// not needed by any that follows.
type Job struct {
	Options

	// Targets lists the metrics of all workers for Prometheus.
	Targets *Targets

	ranks  *barrier.Group
	dir    *rundir.Dir
	disks  *transfer.Disks
	stages *ledger.Ledger
	inputs *inputs.Inputs
	check  *preflight.Check

	afterStep func(step int) error // tests: called after each step of a stage
}

// New makes a run of what a worker brings. It neither reads nor writes anything yet.
func New(o Options) *Job {
	if o.Spell == nil {
		o.Spell = config.Plain
	}
	say := o.Show.Printf
	// Group and ledger share it: an interrupted barrier tells the user which stages are kept.
	progress := &ledger.Progress{Resumed: o.Config.Resume, Spell: o.Spell}
	ranks := barrier.New(o.Comm, barrier.Options{Asked: o.Asked, Timeout: o.Config.Collective.Timeout, Kept: progress.Kept})
	dir := rundir.New(o.Config.Out, o.Config.Name)
	files := fingerprint.New(ranks, say)
	disks := transfer.NewDisks(ranks, dir, o.Node, o.Spell)
	moves := transfer.New(ranks, dir, files, disks, say)
	stages := ledger.New(o.Config, progress, ranks, dir, files, disks, say)
	// Devices that do not account have nothing to tell; commands that only read have none.
	if o.Backend != nil && o.Backend.Traits().Accounts {
		stages.Device = func() string { return fmt.Sprint(o.Backend.Memory()) }
	}
	return &Job{
		Options: o, ranks: ranks, dir: dir, disks: disks, stages: stages,
		Targets: &Targets{conf: o.Config, ranks: ranks, dir: dir, say: say},
		inputs: inputs.New(inputs.Options{
			Config: o.Config, Backend: o.Backend, Ranks: ranks, Dir: dir, Files: files, Transfer: moves, Stages: stages, Say: say, Opened: o.Opened,
		}),
		check: &preflight.Check{Ranks: ranks, Backend: o.Backend, Place: o.Place, Spell: o.Spell},
	}
}

// Dir is the run's folder.
func (j *Job) Dir() string { return j.dir.Path() }

// Open checks that every worker runs the same configuration, and writes it
// into the run's folder, which is this run's from then on until Close: on every
// machine that has one of its own. All ranks call it.
//
// The order: what the workers were asked for before any of them writes, which disks they
// share before one of them takes the folder's lock, the lock before anything is written that
// stays.
func (j *Job) Open(ctx context.Context) error {
	// Settings leaves out what workers may differ in: threads, where their metrics are.
	mine := fmt.Sprintf("command %s\nresume: %t\n%s", j.Command, j.Config.Resume, j.Config.Settings())
	all, err := j.Comm.AllGatherBytes(ctx, []byte(mine))
	if err != nil {
		return err
	}
	for r, other := range all {
		if !bytes.Equal(all[0], other) {
			a, b := config.FirstDifference(string(all[0]), string(other))
			return fmt.Errorf("workers disagree on the configuration: rank 0 has %s, rank %d has %s; start all with the same program, file and flags", a, r, b)
		}
	}
	// What is wrong with the folder shows here, before anything is worked for.
	if err := j.disks.Find(ctx); err != nil {
		return err
	}
	return j.ranks.Each(ctx, func(context.Context) error {
		if !j.disks.Hosts() {
			return nil
		}
		if err := j.occupy(); err != nil {
			return fmt.Errorf("run folder: %w; choose where runs go with %s", err, j.Spell("out", ""))
		}
		return nil
	})
}

// occupy makes the run's folder this run's, on a rank that hosts it.
// config.yaml is rank 0's alone to write, even where other ranks have folders of their own.
func (j *Job) occupy() error {
	unlocked, err := j.dir.Lock()
	var busy *rundir.BusyError
	if errors.As(err, &busy) {
		return fmt.Errorf("%w; wait for its end, or give this one another %s", err, j.Spell("name", ""))
	}
	if err != nil {
		return err
	}
	if unlocked != nil {
		j.Show.Printf("run folder: other runs cannot be kept off %s: %v", j.Dir(), unlocked)
	}
	if err := j.disks.ClearMarks(); err != nil || j.ranks.Rank() != 0 {
		return err
	}
	var b bytes.Buffer
	if err := j.Config.WriteYAML(&b, true); err != nil {
		return err
	}
	return rundir.WriteFile(j.dir.Path("config.yaml"), b.Bytes())
}

// Close closes what was read and lets other runs into the folder that Open took. It
// may be called again.
func (j *Job) Close() error { return errors.Join(j.inputs.Close(), j.dir.Unlock()) }

// People reads the people of the configured splits. All ranks call it.
func (j *Job) People(ctx context.Context) (*inputs.People, error) { return j.inputs.People(ctx) }

// Model resolves the name of a model to a folder that every rank has. All ranks call
// it.
func (j *Job) Model(ctx context.Context, ref string) (string, error) { return j.inputs.Model(ctx, ref) }
