package run

import (
	"bytes"
	"context"
	"fmt"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/ledger"
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

	// Command is what the workers were asked to do beside the configuration; all
	// must have been asked the same.
	Command string

	// Asked ends when this worker is asked to end in order: after the step it is
	// in, with a checkpoint, and elsewhere as soon as it can. Its cause is then a
	// *barrier.Interrupted. Nil: never.
	Asked context.Context
}

// Job is one run on one worker.
type Job struct {
	Options

	ranks    *barrier.Group
	dir      *rundir.Dir
	files    *fingerprint.Files
	disks    *transfer.Disks
	transfer *transfer.Transfer
	stages   *ledger.Ledger

	looked    map[string]bool      // pictures that were decoded once: where they are, and digests
	published bool                 // the targets of its metrics are listed, by rank 0
	templates *templates           // instructions, once they were read
	rehearsal bool                 // the device only counts what is taken of it
	afterStep func(step int) error // tests: called after each step of a stage
}

// New makes a run of what a worker brings. It neither reads nor writes anything yet.
func New(o Options) *Job {
	j := &Job{Options: o}
	progress := &ledger.Progress{Resumed: o.Config.Resume}
	j.ranks = barrier.New(o.Comm, barrier.Options{Asked: o.Asked, Timeout: o.Config.Collective.Timeout, Kept: progress.Kept})
	j.dir = rundir.New(o.Config.Out, o.Config.Name)
	j.files = fingerprint.New(j.ranks, o.Show.Printf)
	j.disks = transfer.NewDisks(j.ranks, j.dir, o.Node)
	j.transfer = transfer.New(j.ranks, j.dir, j.files, j.disks, o.Show.Printf)
	j.stages = ledger.New(o.Config, progress, j.ranks, j.dir, j.files, j.disks, o.Show.Printf)
	return j
}

// Dir is the run's folder.
func (j *Job) Dir() string { return j.dir.Path() }

// Open checks that every worker runs the same configuration, and writes it
// into the run's folder, which is this run's from then on until Close: on every
// machine that has one of its own. All ranks call it.
func (j *Job) Open(ctx context.Context) error {
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
			return fmt.Errorf("run folder: %w; choose where runs go with --out", err)
		}
		return nil
	})
}

// occupy makes the run's folder this run's, on a rank that hosts it.
func (j *Job) occupy() error {
	unlocked, err := j.dir.Lock()
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

// Close lets other runs into the folder that Open took. It may be called again.
func (j *Job) Close() error { return j.dir.Unlock() }

// RetainSplit is the configured retain split, or the complement of forget.
func (j *Job) RetainSplit() (string, error) {
	c := j.Config.Data
	if c.Retain != "" {
		return c.Retain, nil
	}
	var percent int
	if _, err := fmt.Sscanf(c.Forget, "forget_%d", &percent); err != nil || percent <= 0 || percent >= 100 {
		return "", fmt.Errorf("data.retain is empty and data.forget: %q is not forget_N, so it cannot be derived: set data.retain", c.Forget)
	}
	return fmt.Sprintf("retain_%d", 100-percent), nil
}
