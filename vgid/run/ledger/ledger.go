package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"vgid/collective"
	"vgid/model/kit/measure"
	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
	"vgid/vgid/train"
)

// Ledger holds the stages of a run.
//
// What must hold: a stage is begun (Begin) before it works and finished (Finish) after
// all that it made lies in the run's folder; its record is written last, on rank 0
// alone; and whether a stage is kept is rank 0's decision, which all ranks get.
type Ledger struct {
	*Progress
	// Device says what a device's memory holds, told when a stage ends. Nil: nothing.
	Device func() string

	conf  config.Config
	ranks *barrier.Group
	dir   *rundir.Dir
	files *fingerprint.Files
	disks *transfer.Disks
	say   func(format string, args ...any)
}

// New opens the ledger of a run in its folder. say tells the user what is made again.
func New(conf config.Config, p *Progress, ranks *barrier.Group, dir *rundir.Dir, files *fingerprint.Files, disks *transfer.Disks, say func(format string, args ...any)) *Ledger {
	return &Ledger{Progress: p, conf: conf, ranks: ranks, dir: dir, files: files, disks: disks, say: say}
}

// Found is what an earlier run left of a stage.
// OK and Why exclude each other; neither is there of a stage that was never finished.
type Found struct {
	Stage rundir.Stage
	OK    bool   // it need not be made again
	Why   string // it must be made again, where it had been finished
	Where string // the rank's run folder, where there is something of it: a record or a checkpoint
}

// Current tells, on a resumed run, whether a stage need not be made again: it is
// finished, with these settings, of these inputs, and what it made is still there.
// If not, Why says what it lacks, but for a stage that has not ended before. Rank
// 0's record counts, wherever the others run. All ranks call it.
func (l *Ledger) Current(ctx context.Context, name string, inputs origin.List) (Found, error) {
	if !l.conf.Resume {
		return Found{}, nil
	}
	if l.ranks.Size() > 1 {
		if err := l.disks.Find(ctx); err != nil {
			return Found{}, err
		}
	}
	all, err := barrier.Gather(ctx, l.ranks, func(ctx context.Context) (Found, error) {
		if err := ctx.Err(); err != nil { // none goes on once one is asked to end
			return Found{}, err
		}
		return l.find(ctx, name, inputs)
	})
	if err != nil {
		return Found{}, err
	}
	for r, f := range all {
		if f.Where != "" && all[0].Where == "" {
			return Found{}, fmt.Errorf("%s: %s has work of this stage in its %s, rank 0 has none, and rank 0's is what is resumed: give the nodes the names they had, by which ranks are ordered, or begin without %s", name, l.ranks.Name(r), f.Where, l.Spell("resume", ""))
		}
	}
	f := all[0]
	// The record holds rank 0's paths of when it was written; the run may have moved.
	if f.Stage.Model != "" {
		f.Stage.Model = l.dir.Path(name, "model")
	}
	if f.Stage.Adapter != "" {
		f.Stage.Adapter = l.dir.Path(name, "adapter")
	}
	return f, nil
}

// find is what lies in this rank's folder of a stage; only rank 0 judges its record.
func (l *Ledger) find(ctx context.Context, name string, inputs origin.List) (f Found, err error) {
	left, err := train.Checkpoints(l.dir.Path(name, "checkpoint"))
	if err != nil {
		return f, err
	}
	if len(left) > 0 {
		f.Where = l.dir.Path()
	}
	s, err := l.dir.ReadStage(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	f.Where = l.dir.Path()
	switch {
	case l.ranks.Rank() != 0:
		return f, nil
	case err != nil:
		f.Why = err.Error()
		return f, nil
	}
	f.Stage = s
	f.Why, err = l.outdated(ctx, name, &s, inputs)
	f.OK = f.Why == ""
	return f, err
}

// outdated says what of a finished stage is not as it was; "" if all is.
func (l *Ledger) outdated(ctx context.Context, name string, s *rundir.Stage, inputs origin.List) (string, error) {
	const older = "its record does not say of which %s it was made, as those of older versions"
	switch was, now := strings.Join(s.Settings, "\n"), l.conf.For(name).Settings(); {
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
		path := l.dir.Path(filepath.FromSlash(f.Name))
		_, sum, err := l.files.One(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path + " is gone", nil
		case err != nil:
			return "", err
		case sum != f.SHA256:
			return path + " is not as the stage left it", nil
		}
	}
	return "", nil
}

// Begin is Current for a stage that begins now, and says why it is made again. All
// ranks call it.
func (l *Ledger) Begin(ctx context.Context, name string, inputs origin.List) (rundir.Stage, bool, error) {
	l.begin(name)
	f, err := l.Current(ctx, name, inputs)
	if f.Why != "" {
		l.say("%s: made again: %s", words(name), f.Why)
	}
	if f.OK {
		l.keep(name)
	}
	return f.Stage, f.OK, err
}

// Finish writes the record of a stage, of which paths are what it made, with the
// most memory that a worker took. All ranks call it.
func (l *Ledger) Finish(ctx context.Context, s *rundir.Stage, paths ...string) error {
	if l.Device != nil {
		l.say("%s: on the device %s", s.Name, l.Device())
	}
	peaks := []float64{float64(measure.PeakMemory())}
	if err := l.ranks.Comm().AllReduce(ctx, collective.F64(peaks), collective.Max); err != nil {
		return err
	}
	s.PeakBytes = int64(peaks[0])
	if err := l.Record(ctx, s, paths...); err != nil {
		return err
	}
	l.keep(s.Name)
	return nil
}

// Record is Finish for what is made without the device, between stages.
func (l *Ledger) Record(ctx context.Context, s *rundir.Stage, paths ...string) error {
	s.Settings = strings.Split(l.conf.For(s.Name).Settings(), "\n")
	if s.Inputs == nil {
		s.Inputs = origin.List{} // it is known that there are none
	}
	return l.ranks.OnRank0(ctx, func() error {
		s.Outputs = origin.List{}
		for _, p := range paths {
			// The stage is whole: who is asked to end now still has its record.
			list, err := l.files.Below(context.WithoutCancel(ctx), l.dir, p)
			if err != nil {
				return err
			}
			s.Outputs = append(s.Outputs, list...)
		}
		return l.dir.WriteStage(*s)
	})
}
