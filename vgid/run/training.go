package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"vgid/model"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
	"vgid/model/hub"
	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

func (j *Job) open(ctx context.Context, dir string) (*model.Model, *train.Encoder, error) {
	m, err := j.load(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	enc, err := train.NewEncoder(modeldir.Open(dir), m, j.Config.Prompt)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	for _, n := range enc.Notices() {
		j.Show.Printf("note: %s", n)
	}
	return m, enc, nil
}

func (j *Job) load(ctx context.Context, dir string) (*model.Model, error) {
	return model.LoadAs(ctx, j.Backend, dir, model.LoadOptions{Weights: j.Config.Model.Weights})
}

// loadAll is load on every rank: one may read from a colder disk than another.
// All ranks call it.
func (j *Job) loadAll(ctx context.Context, dir string) (m *model.Model, err error) {
	_, err = j.ranks.Barrier(ctx, func(ctx context.Context) (_ []byte, err error) {
		m, err = j.load(ctx, dir)
		return nil, err
	})
	if err != nil && m != nil {
		m.Close()
	}
	return m, err
}

// training is a stage that trains.
type training struct {
	name, from string      // its name, and the folder of the model it starts from
	section    string      // of the configuration: train or unlearn
	reads      origin.List // beside the model
	steps      int
	optim      config.Optim
	// fits checks that the model can read what it will be trained on.
	fits func(enc *train.Encoder) error
	// begin chooses what of a model is trained and makes the objective, as j's
	// configuration says.
	begin func(j *Job, m *model.Model, enc *train.Encoder) (train.Objective, error)
}

// train runs a stage unless it is finished, once it is known that a step of it
// fits the memory.
func (j *Job) train(ctx context.Context, t training) (rundir.Stage, error) {
	inputs, err := j.readBeside(ctx, t.reads, t.from)
	if err != nil {
		return rundir.Stage{}, err
	}
	s, ok, err := j.stages.Begin(ctx, t.name, inputs)
	if err != nil {
		return rundir.Stage{}, err
	}
	if ok {
		j.Show.Printf("%s: finished before, kept", t.name)
		return s, j.drop(ctx, j.dir.Path(t.name, "checkpoint"))
	}
	enc, err := j.afford(ctx, &t)
	if err != nil {
		return rundir.Stage{}, err
	}
	m, err := j.loadAll(ctx, t.from)
	if err != nil {
		return rundir.Stage{}, err
	}
	defer m.Close()
	if err := j.unchanged(ctx, t.reads, t.from, inputs); err != nil {
		return rundir.Stage{}, err
	}
	obj, err := t.begin(j, m, enc)
	if err != nil {
		return rundir.Stage{}, err
	}
	defer obj.Close()
	return j.loop(ctx, &t, inputs, m, obj, func() (string, error) {
		if err := j.unchanged(ctx, t.reads, t.from, inputs); err != nil {
			return "", err
		}
		return j.save(ctx, t.name, t.from, m)
	})
}

// loop runs a stage's steps, with checkpoints, and has its model saved. Where that
// fails, what was trained is kept in a checkpoint.
func (j *Job) loop(ctx context.Context, of *training, inputs origin.List, m *model.Model, obj train.Objective, save func() (adapter string, err error)) (rundir.Stage, error) {
	begin := time.Now()
	name, steps := of.name, of.steps
	stage := rundir.Stage{Name: name, Steps: steps, Model: j.dir.Path(name, "model"), Inputs: inputs}
	t, err := train.NewTrainer(m, obj, train.Options{
		Stage: name, Comm: j.Comm, Optim: of.optim, Steps: steps, Seed: j.Config.Seed, Bucket: j.Config.Collective.Bucket,
		Asked: func() bool { return j.ranks.Asked() != 0 },
	})
	if err != nil {
		return stage, err
	}
	defer t.Close()
	ckpt := j.dir.Path(name, "checkpoint")
	if err := j.ranks.OnRank0(ctx, func() error { return j.replaces(name, ckpt) }); err != nil {
		return stage, err
	}
	if j.Config.Resume {
		ok, err := j.restore(ctx, ckpt, inputs, t)
		if err != nil {
			return stage, err
		}
		if done, _ := t.Done(); ok {
			j.Show.Printf("%s: resumed after step %d", name, done)
		} else {
			j.Show.Printf("no checkpoint of %s found, starting from the beginning", name)
		}
	}
	done, _ := t.Done()
	hist, err := j.openHistory(name, done)
	if err != nil {
		return stage, err
	}
	defer hist.Close()
	j.Show.Start(name, steps, "steps")
	j.Metrics.Plan(name, steps, done)
	for done < steps {
		r, err := t.Step(ctx)
		if err != nil {
			return stage, err
		}
		done = r.Step
		j.Metrics.Observe(r.Phases)
		if err := hist.add(r); err != nil {
			return stage, err
		}
		j.Show.Update(r.Step, lossText(r))
		if j.afterStep != nil {
			if err := j.afterStep(r.Step); err != nil {
				return stage, err
			}
		}
		every := j.Config.Checkpoint.Every
		if r.Asked || every > 0 && r.Step%every == 0 && r.Step < steps {
			if err := j.checkpoint(ctx, ckpt, inputs, t); err != nil {
				return stage, err
			}
		}
		if r.Asked {
			return stage, j.stopped(ctx, t)
		}
	}
	if err := hist.Close(); err != nil {
		return stage, err
	}
	if stage.Adapter, err = save(); err != nil {
		if lost := j.checkpoint(ctx, ckpt, inputs, t); lost != nil {
			return stage, fmt.Errorf("%w; and no checkpoint could be written: %v", err, lost) //nolint:errorlint // the cause is err alone, by which the exit status goes
		}
		return stage, fmt.Errorf("%w; the %d steps of %s are kept in a checkpoint, --resume goes on from there", err, steps, name)
	}
	j.Show.Finish(hist.last)
	stage.Seconds = time.Since(begin).Seconds()
	made := []string{stage.Model}
	if stage.Adapter != "" {
		made = append(made, stage.Adapter)
	}
	if err := j.finish(ctx, &stage, made...); err != nil {
		return stage, err
	}
	return stage, j.drop(ctx, ckpt)
}

// drop removes the checkpoints of a stage once its record says that it is finished,
// with what a kill in the middle of writing left there.
func (j *Job) drop(ctx context.Context, ckpt string) error {
	return j.ranks.OnRank0(ctx, func() error { return os.RemoveAll(ckpt) })
}

// replaces looks at what an earlier run left of a stage that begins anew: work
// that is not finished is refused, a finished model will be replaced.
func (j *Job) replaces(name, ckpt string) error {
	if j.Config.Resume {
		return nil
	}
	left, err := train.Checkpoints(ckpt)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %s is of a run that was interrupted: --resume goes on from there, --name begins another run; remove it to begin this one again", name, left[len(left)-1])
	}
	if _, err := os.Stat(j.dir.Path(name, "stage.json")); err == nil {
		j.Show.Printf("%s: the model of an earlier run in %s will be replaced (--resume keeps it, --name begins another run)", name, j.dir.Path(name))
	}
	return nil
}

// forCheckpoint is the configuration that a checkpoint of a stage depends on: it may
// be gone on from to write the model in another type.
func (j *Job) forCheckpoint(stage string) config.Config {
	c := j.Config.For(stage)
	c.Model.DType = ""
	return c
}

func (j *Job) checkpoint(ctx context.Context, dir string, inputs origin.List, t *train.Trainer) error {
	err := j.ranks.OnRank0(ctx, func() error {
		s, err := t.State()
		if err != nil {
			return err
		}
		return train.SaveCheckpoint(dir, j.forCheckpoint(t.Stage), inputs, s)
	})
	if err == nil {
		j.Metrics.Checkpoint(t.Stage, time.Now())
	}
	return err
}

// save writes the stage's model, with an adapter also on its own in PEFT's
// format and merged into the weights in the model folder.
func (j *Job) save(ctx context.Context, name, from string, m *model.Model) (adapter string, err error) {
	if m.Adapter() != nil {
		adapter = j.dir.Path(name, "adapter")
	}
	return adapter, j.ranks.OnRank0(ctx, func() error {
		if adapter != "" {
			err := hf.ReplaceFolder(adapter, func(dir string) error { return m.SaveAdapter(dir, hub.Name(from)) })
			if err != nil {
				return err
			}
		}
		return hf.ReplaceFolder(j.dir.Path(name, "model"), func(dir string) error {
			if err := hf.CopyAssets(dir, from); err != nil {
				return err
			}
			err := m.Save(dir, model.SaveOptions{DType: j.Config.Model.DType, Merge: true})
			var unfit *hf.UnfitError
			if errors.As(err, &unfit) {
				err = fmt.Errorf("%s: %w (model.dtype)", name, err)
				if adapter != "" {
					err = fmt.Errorf("%w; the adapter by itself is kept in %s", err, adapter)
				}
			}
			return err
		})
	})
}

// finish writes the record of a stage, of which paths are what it made. All ranks
// call it.
func (j *Job) finish(ctx context.Context, s *rundir.Stage, paths ...string) error {
	if j.Backend.Traits().Accounts {
		j.Show.Printf("%s: on the device %s", s.Name, j.Backend.Memory())
	}
	return j.stages.Finish(ctx, s, paths...)
}

// stopped is the end of all ranks after a step of a stage, whose checkpoint is
// written. All ranks call it: some may not have been asked.
func (j *Job) stopped(ctx context.Context, t *train.Trainer) error {
	by, err := j.ranks.AskedBy(ctx)
	if err != nil {
		return err
	}
	if by != 0 {
		step, of := t.Done()
		return &barrier.Interrupted{Signal: by, Kept: fmt.Sprintf("after step %d of %d of %s: checkpoint kept, continue with --resume", step, of, t.Stage)}
	}
	return fmt.Errorf("%s: a rank was asked to end, but none says so", t.Stage)
}
