package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"vgid/collective"
	"vgid/model/measure"
	"vgid/model/safefile"
	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/train"
)

// Stage is the record of a finished stage; it is written last, as stage.json.
type Stage struct {
	Name      string      `json:"name"`
	Model     string      `json:"model,omitempty"`   // folder of the model it made
	Adapter   string      `json:"adapter,omitempty"` // folder of the adapter it made
	Steps     int         `json:"steps"`
	Seconds   float64     `json:"seconds"`
	PeakBytes int64       `json:"peak_memory_bytes"` // the largest of the workers
	Settings  []string    `json:"settings"`          // those it depends on, a line each
	Inputs    origin.List `json:"inputs"`            // what it read
	Outputs   origin.List `json:"outputs"`           // what it made, by names below the run's folder
}

const stageFile = "stage.json"

// current tells, on a resumed run, whether a stage need not be made again: it is
// finished, with these settings, of these inputs, and what it made is still there.
// If not, why says what it lacks, but for a stage that has not ended before. Rank
// 0's record counts, wherever the others run. All ranks call it.
func (j *Job) current(ctx context.Context, name string, inputs origin.List) (s Stage, ok bool, why string, err error) {
	if !j.Config.Resume {
		return s, false, "", nil
	}
	if j.Comm.Size() > 1 {
		if _, err := j.findDisks(ctx); err != nil {
			return s, false, "", err
		}
	}
	type found struct {
		Stage Stage
		Begun bool // there is something of it
		OK    bool
		Why   string
	}
	all, err := barrier.Gather(ctx, j.ranks, func(ctx context.Context) (f found, err error) {
		if err := ctx.Err(); err != nil { // none goes on once one is asked to end
			return f, err
		}
		left, err := train.Checkpoints(j.path(name, "checkpoint"))
		if err != nil {
			return f, err
		}
		f.Begun = len(left) > 0
		if f.Stage, err = readStage(j.path(name, stageFile)); errors.Is(err, fs.ErrNotExist) {
			return f, nil
		}
		f.Begun = true
		if j.ranks.Rank() != 0 {
			return found{Begun: true}, nil
		}
		if err != nil {
			f.Why = err.Error()
			return f, nil
		}
		f.Why, err = j.outdated(ctx, &f.Stage, j.Config.For(name), inputs)
		f.OK = f.Why == ""
		return f, err
	})
	if err != nil {
		return s, false, "", err
	}
	for r, f := range all {
		if f.Begun && !all[0].Begun {
			return s, false, "", fmt.Errorf("%s: %s has work of this stage in its %s, rank 0 has none, and rank 0's is what is resumed: give the nodes the names they had, by which ranks are ordered, or begin without --resume", name, j.ranks.Name(r), j.Dir())
		}
	}
	if s = all[0].Stage; s.Model != "" {
		s.Model = j.path(name, "model")
	}
	if s.Adapter != "" {
		s.Adapter = j.path(name, "adapter")
	}
	return s, all[0].OK, all[0].Why, nil
}

// outdated says what of a finished stage is not as it was; "" if all is.
func (j *Job) outdated(ctx context.Context, s *Stage, c config.Config, inputs origin.List) (string, error) {
	const older = "its record does not say of which %s it was made, as those of older versions"
	switch was, now := strings.Join(s.Settings, "\n"), c.Settings(); {
	case s.Settings == nil:
		return fmt.Sprintf(older, "settings"), nil
	case was != now:
		return "a setting it depends on is another" + config.Changed(was, now), nil
	case s.Inputs == nil:
		return fmt.Sprintf(older, "files"), nil
	}
	if c := s.Inputs.Changes(inputs); len(c) > 0 {
		return origin.Words(c), nil
	}
	for _, f := range s.Outputs {
		_, sum, err := j.digest(ctx, j.path(filepath.FromSlash(f.Name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return j.path(f.Name) + " is gone", nil
		case err != nil:
			return "", err
		case sum != f.SHA256:
			return j.path(f.Name) + " is not as the stage left it", nil
		}
	}
	return "", nil
}

// finished is current for a stage that begins now, and says why it is made again.
func (j *Job) finished(ctx context.Context, name string, inputs origin.List) (Stage, bool, error) {
	j.doing = name
	s, ok, why, err := j.current(ctx, name, inputs)
	if why != "" {
		j.Show.Printf("%s: made again: %s", stageWords(name), why)
	}
	if ok {
		j.keep(name)
	}
	return s, ok, err
}

// keep notes that a stage is finished.
func (j *Job) keep(stage string) {
	j.doing = ""
	if w := stageWords(stage); !slices.Contains(j.done, w) {
		j.done = append(j.done, w)
	}
}

// finish writes the record of a stage, of which paths are what it made.
func (j *Job) finish(ctx context.Context, s *Stage, paths ...string) error {
	if j.Backend.Traits().Accounts {
		j.Show.Printf("%s: on the device %s", s.Name, j.Backend.Memory())
	}
	peaks := []float64{float64(measure.PeakMemory())}
	if err := j.Comm.AllReduce(ctx, collective.F64(peaks), collective.Max); err != nil {
		return err
	}
	s.PeakBytes = int64(peaks[0])
	if err := j.record(ctx, s, paths...); err != nil {
		return err
	}
	j.keep(s.Name)
	return nil
}

// record is finish for what is made without the device.
func (j *Job) record(ctx context.Context, s *Stage, paths ...string) error {
	s.Settings = strings.Split(j.Config.For(s.Name).Settings(), "\n")
	if s.Inputs == nil {
		s.Inputs = origin.List{} // it is known that there are none
	}
	return j.ranks.OnRank0(ctx, func() error {
		s.Outputs = origin.List{}
		for _, p := range paths {
			list, err := j.list(context.WithoutCancel(ctx), p)
			if err != nil {
				return err
			}
			s.Outputs = append(s.Outputs, list...)
		}
		raw, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(j.path(s.Name, stageFile), append(raw, '\n'))
	})
}

// list fingerprints a file or a folder of the run's folder, but for the record that
// may lie in it.
func (j *Job) list(ctx context.Context, dir string) (origin.List, error) {
	sources, err := origin.Below(j.Dir(), dir)
	if err != nil {
		return nil, err
	}
	var out origin.List
	for _, s := range sources {
		if s.Path == filepath.Join(dir, stageFile) {
			continue
		}
		f := origin.File{For: s.For, Name: s.Name}
		if f.Size, f.SHA256, err = j.digest(ctx, s.Path); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// made lists what finished stages made here of a folder, a path below the run's
// folder, by the records in it and above: name to SHA-256.
func (j *Job) made(folder string) (map[string]string, error) {
	out := map[string]string{}
	for dir := folder; dir != "."; dir = path.Dir(dir) {
		s, err := readStage(j.path(filepath.FromSlash(dir), stageFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range s.Outputs {
			out[f.Name] = f.SHA256
		}
	}
	return out, nil
}

func readStage(name string) (s Stage, err error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return Stage{}, fmt.Errorf("its record %s cannot be read (%w)", name, err)
	}
	return s, nil
}

// writeFile replaces a file, and makes its folder, so that no reader and no
// crash ever sees half of it.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return safefile.WriteBytes(name, data)
}
