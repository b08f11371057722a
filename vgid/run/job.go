package run

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/gofrs/flock"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
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

	ranks     *barrier.Group
	doing     string               // the stage in progress
	done      []string             // the stages that are finished, in words
	looked    map[string]bool      // pictures that were decoded once: where they are, and digests
	published bool                 // the targets of its metrics are listed, by rank 0
	hashed    map[origin.ID]string // files that were read for their SHA-256
	templates *templates           // instructions, once they were read
	disks     *disks               // who sees which run folder
	held      *flock.Flock         // the run's folder, where this rank hosts it
	rehearsal bool                 // the device only counts what is taken of it
	afterStep func(step int) error // tests: called after each step of a stage
}

// New makes a run of what a worker brings. It neither reads nor writes anything yet.
func New(o Options) *Job {
	j := &Job{Options: o}
	j.ranks = barrier.New(o.Comm, barrier.Options{Asked: o.Asked, Timeout: o.Config.Collective.Timeout, Kept: j.kept})
	return j
}

// Dir is the run's folder.
func (j *Job) Dir() string { return filepath.Join(j.Config.Out, j.Config.Name) }

func (j *Job) path(parts ...string) string {
	return filepath.Join(append([]string{j.Dir()}, parts...)...)
}

// Agree checks that every worker runs the same configuration, and writes it
// into the run's folder, which is this run's from then on until Leave: on every
// machine that has one of its own.
func (j *Job) Agree(ctx context.Context) error {
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
	// What is wrong with the folder shows here.
	if _, err := j.findDisks(ctx); err != nil {
		return err
	}
	_, err = j.ranks.Barrier(ctx, func(context.Context) ([]byte, error) {
		if !j.hosts() {
			return nil, nil
		}
		err := j.hold()
		if err == nil {
			err = j.clearMarks()
		}
		if err == nil && j.ranks.Rank() == 0 {
			var b bytes.Buffer
			if err := j.Config.WriteYAML(&b, true); err != nil {
				return nil, err
			}
			err = writeFile(j.path("config.yaml"), b.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("run folder: %w; choose where runs go with --out", err)
		}
		return nil, nil
	})
	return err
}

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
