package vgid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/model/hub"
	"vgid/model/safefile"
	"vgid/vgid/config"
	"vgid/vgid/data"
	"vgid/vgid/monitor"
	"vgid/vgid/quickstart"
)

// Job is one run on one worker: what every stage needs.
type Job struct {
	Config  config.Config
	Comm    *collective.Comm
	Backend backend.Backend
	Metrics *monitor.Metrics
	Show    *monitor.Progress // silent on all ranks but 0
	Place   string            // what memory the device has: workers that say the same share it

	// Command is what the workers were asked to do beside the configuration; all
	// must have been asked the same.
	Command string

	// Asked ends when this worker is asked to end in order: after the step it is
	// in, with a checkpoint, and elsewhere as soon as it can. Its cause is then an
	// *Interrupted. Nil: never.
	Asked context.Context

	doing     string               // the stage in progress
	done      []string             // the stages that are finished, in words
	looked    map[string]bool      // pictures that were decoded once: where they are, and digests
	published bool                 // the targets of its metrics are listed, by rank 0
	held      *os.File             // the run's folder, on rank 0
	afterStep func(step int) error // tests: called after each step of a stage
}

// Dir is the run's folder.
func (j *Job) Dir() string { return filepath.Join(j.Config.Out, j.Config.Name) }

func (j *Job) path(parts ...string) string {
	return filepath.Join(append([]string{j.Dir()}, parts...)...)
}

func (j *Job) lead() bool { return j.Comm.Rank() == 0 }

// Agree checks that every worker runs the same configuration, and writes it
// into the run's folder, which is this run's from then on until Leave.
func (j *Job) Agree(ctx context.Context) error {
	mine := "command " + j.Command + "\n" + settings(j.Config)
	all, err := j.Comm.AllGatherBytes(ctx, []byte(mine))
	if err != nil {
		return err
	}
	for r, other := range all {
		if !bytes.Equal(all[0], other) {
			a, b := firstDifference(string(all[0]), string(other))
			return fmt.Errorf("workers disagree on the configuration: rank 0 has %s, rank %d has %s; start all with the same program, file and flags", a, r, b)
		}
	}
	return j.onLead(ctx, func() error {
		var b bytes.Buffer
		if err := j.Config.WriteYAML(&b, true); err != nil {
			return err
		}
		// The first that is done there: what is wrong with the folder shows here.
		err := j.hold()
		if err == nil {
			err = writeFile(j.path("config.yaml"), b.Bytes())
		}
		if err != nil {
			return fmt.Errorf("run folder: %w; choose where runs go with --out", err)
		}
		return nil
	})
}

// settings are what workers, and a checkpoint and the run that goes on from it,
// have to have in common, a line each.
func settings(c config.Config) string { return strings.Join(c.Shared().Lines(), "\n") }

// firstDifference gives the first lines that differ of two that do.
func firstDifference(a, b string) (string, string) {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return la[i], lb[i]
		}
	}
	return fmt.Sprintf("%d settings", len(la)), fmt.Sprintf("%d", len(lb)) // programs of two versions
}

// Benchmark opens the configured benchmark, and builds it first where the
// configuration says what to build instead of where it is.
func (j *Job) Benchmark(ctx context.Context) (*data.Benchmark, error) {
	c := j.Config.Data
	dir := c.Dir
	if dir == "" {
		dir = j.path("data")
		_, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
			done := filepath.Join(dir, data.BuildFile)
			if _, err := os.Stat(done); !j.lead() || err == nil && j.Config.Resume {
				return nil, nil
			}
			build := data.BuildConfig{
				Out: dir, Seed: j.Config.Seed, Views: c.Views, Celebrities: c.Celebrities,
				ImageSize: c.ImageSize, Profiles: c.Profiles, Splits: c.Splits,
			}
			if c.Profiles == "" {
				var percent int
				if _, err := fmt.Sscanf(c.Forget, "forget_%d", &percent); err != nil {
					return nil, fmt.Errorf("data.forget: %q is not forget_N, so there is no telling how many people to forget", c.Forget)
				}
				build.People, build.ForgetPercents = c.People, []int{percent}
			}
			_, err := data.Build(ctx, build)
			return nil, err
		})
		if err != nil {
			return nil, err
		}
	}
	return data.Open(dir)
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

// ModelDir resolves a model reference to a folder: a built-in one is written
// into the run's folder first, one of a hub fetched into this machine's cache.
// All ranks call it.
func (j *Job) ModelDir(ctx context.Context, ref string) (string, error) {
	switch {
	case ref == "":
		return "", errors.New("model.base is empty: give a Hugging Face folder, or " + quickstart.Builtin)
	case ref == quickstart.Builtin:
		dir := j.path("base")
		return dir, j.onLead(ctx, func() error { return quickstart.Extract(dir) })
	case ref == quickstart.Init:
		dir := j.path("init")
		return dir, j.onLead(ctx, func() error { return quickstart.Create(j.Backend, dir, j.Config.Seed) })
	case strings.HasPrefix(ref, "builtin:"), strings.HasPrefix(ref, "init:"):
		return "", fmt.Errorf("model %q: the only built-in models are %s and %s", ref, quickstart.Builtin, quickstart.Init)
	}
	if _, err := os.Stat(filepath.Join(ref, "config.json")); err == nil {
		return ref, nil
	}
	if _, ok := hub.ParseRef(ref); ok {
		if _, err := os.Stat(ref); errors.Is(err, fs.ErrNotExist) {
			return j.fetch(ctx, ref)
		}
	}
	return "", fmt.Errorf("model folder %s: no config.json there; give a Hugging Face folder, the ORG/NAME of a model on the hub, or %s", ref, quickstart.Builtin)
}

// Stage is the record of a finished stage; it is written last, as stage.json.
type Stage struct {
	Name      string  `json:"name"`
	Model     string  `json:"model,omitempty"`   // folder of the model it made
	Adapter   string  `json:"adapter,omitempty"` // folder of the adapter it made
	Steps     int     `json:"steps"`
	Seconds   float64 `json:"seconds"`
	PeakBytes int64   `json:"peak_memory_bytes"` // the largest of the workers
	Config    string  `json:"config"`            // digest of the settings it depends on
}

// finished reads the record of a stage that an interrupted run completed.
func (j *Job) finished(ctx context.Context, name string) (s Stage, ok bool, err error) {
	j.doing = name
	found := "does not find it finished"
	if j.Config.Resume {
		raw, err := os.ReadFile(j.path(name, "stage.json"))
		if ok = err == nil && json.Unmarshal(raw, &s) == nil && s.Config == j.Config.For(name).Digest(); ok {
			found = "finds it finished"
		}
	}
	if err := j.resumeAlike(ctx, name, found); err != nil || !ok {
		return s, false, err
	}
	j.keep(name)
	return s, true, nil
}

// keep notes that a stage is finished.
func (j *Job) keep(stage string) {
	j.doing = ""
	if w := stageWords(stage); !slices.Contains(j.done, w) {
		j.done = append(j.done, w)
	}
}

// resumeAlike checks that every worker goes on from the same point. Workers
// that do not share the run folder would otherwise train different models and
// average them. None goes on once one is asked to end.
func (j *Job) resumeAlike(ctx context.Context, stage, mine string) error {
	all, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) { return []byte(mine), ctx.Err() })
	if err != nil {
		return err
	}
	for r, other := range all {
		if !bytes.Equal(all[0], other) {
			return fmt.Errorf("%s: rank 0 %s, rank %d %s: start all workers with the same --resume, and on several machines share the folder %s", stage, all[0], r, other, j.Dir())
		}
	}
	return nil
}

func (j *Job) finish(ctx context.Context, s *Stage) error {
	if a, ok := j.Backend.(backend.Accountant); ok {
		j.Show.Printf("%s: on the device %s", s.Name, a.Memory())
	}
	peaks := []float64{peakMemory()}
	if err := j.Comm.AllReduce(ctx, collective.F64(peaks), collective.Max); err != nil {
		return err
	}
	s.PeakBytes, s.Config = int64(peaks[0]), j.Config.For(s.Name).Digest()
	err := j.onLead(ctx, func() error {
		raw, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(j.path(s.Name, "stage.json"), append(raw, '\n'))
	})
	if err == nil {
		j.keep(s.Name)
	}
	return err
}

// writeFile replaces a file, and makes its folder, so that no reader and no
// crash ever sees half of it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return safefile.WriteBytes(path, data)
}

// peakMemory is the largest resident set of this process so far, in bytes.
func peakMemory() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Maxrss) * 1024 // Linux counts in KiB
}
