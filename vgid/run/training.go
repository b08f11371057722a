package run

import (
	"context"
	"fmt"
	"os"
	"time"

	"vgid/model"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/preflight"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

// training is a stage that trains.
type training struct {
	preflight.Training
	reads origin.List // beside the model
}

// train runs a stage unless it is finished, once it is known that a step of it
// fits the memory. All ranks call it.
//
// A record of an earlier run is asked first, which costs no more than fingerprints; then
// the estimate, on a device that only counts; then the weights are loaded.
func (j *Job) train(ctx context.Context, t training) (rundir.Stage, error) {
	from := t.From.Path()
	read, err := j.inputs.Beside(ctx, t.reads, from)
	if err != nil {
		return rundir.Stage{}, err
	}
	w := work{j: j, training: &t, read: read, ckpt: j.dir.Path(t.Name, "checkpoint")}
	s, ok, err := j.stages.Begin(ctx, t.Name, read)
	if err != nil {
		return rundir.Stage{}, err
	}
	if ok {
		j.Show.Printf("%s: finished before, kept", t.Name)
		return s, w.drop(ctx)
	}
	enc, err := j.check.Training(ctx, j.Config, &t.Training)
	if err != nil {
		return rundir.Stage{}, err
	}
	if w.model, err = load(ctx, j, from); err != nil {
		return rundir.Stage{}, err
	}
	defer w.model.Close()
	// What was fingerprinted is what was loaded: nobody wrote to it in between.
	if err := w.unchanged(ctx); err != nil {
		return rundir.Stage{}, err
	}
	obj, err := t.Begin(preflight.Setup{Config: &j.Config, Model: w.model, Encoder: enc, Say: j.Show.Printf})
	if err != nil {
		return rundir.Stage{}, err
	}
	defer obj.Close()
	w.trainer, err = train.NewTrainer(ctx, w.model, obj, train.Options{
		Stage: t.Name, Comm: j.Comm, Optim: t.Optim, Steps: t.Steps, Seed: j.Config.Seed, Bucket: j.Config.Collective.Bucket, Sharded: j.Config.Collective.Zero > 0,
		Asked: func() bool { return j.ranks.Asked() != 0 },
	})
	if err != nil {
		return rundir.Stage{}, err
	}
	defer w.trainer.Close()
	return w.run(ctx)
}

// work is a stage that trains, in progress.
//
// What must hold: a step that has ended is in a checkpoint or in the model that is
// saved when the work ends, unless it fails in a step; whatever is saved is of the
// files that the record names (unchanged); and the record is written last, the
// checkpoint dropped after it.
type work struct {
	*training
	j       *Job
	read    origin.List // what the stage reads, with the model
	ckpt    string      // folder of the stage's checkpoints
	model   *model.Model
	trainer *train.Trainer
}

// run takes the steps that are left, and saves the model. Where that fails, what was
// trained is kept in a checkpoint.
func (w *work) run(ctx context.Context) (rundir.Stage, error) {
	begin := time.Now()
	j, name := w.j, w.Name
	stage := rundir.Stage{Name: name, Steps: w.Steps, Model: j.dir.Path(name, "model"), Inputs: w.read}
	if err := j.ranks.OnRank0(ctx, w.replaces); err != nil {
		return stage, err
	}
	// The history goes with the checkpoint: its steps behind that are dropped.
	if err := w.resume(ctx); err != nil {
		return stage, err
	}
	done, _ := w.trainer.Done()
	hist, err := openHistory(j.ranks.Rank() == 0, func(file string) string { return j.dir.Path(name, file) }, done)
	if err != nil {
		return stage, err
	}
	defer hist.Close()
	j.Show.Start(name, w.Steps, done, "steps")
	j.Metrics.Plan(name, w.Steps, done)
	for done < w.Steps {
		// A step that failed ends the stage as it is: the ranks may no longer agree on what
		// they hold, so nothing of it is kept but the last checkpoint.
		if done, err = w.step(ctx, hist); err != nil {
			return stage, err
		}
	}
	// The steps are in the history before the record says that the stage is finished.
	if err := hist.Close(); err != nil {
		return stage, err
	}
	if stage.Adapter, err = w.save(ctx); err != nil {
		if lost := w.checkpoint(ctx); lost != nil {
			return stage, fmt.Errorf("%w; and no checkpoint could be written: %v", err, lost) //nolint:errorlint // the cause is err alone, by which the exit status goes
		}
		return stage, fmt.Errorf("%w; the %d steps of %s are kept in a checkpoint, %s goes on from there", err, w.Steps, name, j.Spell("resume", ""))
	}
	j.Show.Finish(hist.last)
	stage.Seconds = time.Since(begin).Seconds()
	made := []string{stage.Model}
	if stage.Adapter != "" {
		made = append(made, stage.Adapter)
	}
	if err := j.stages.Finish(ctx, &stage, made...); err != nil {
		return stage, err
	}
	return stage, w.drop(ctx)
}

// step takes a step, and writes a checkpoint behind it when one is due or the ranks are
// asked to end; then they end. It gives how many steps are done.
func (w *work) step(ctx context.Context, hist *history) (done int, err error) {
	j := w.j
	r, err := w.trainer.Step(ctx)
	if err != nil {
		return r.Step, err
	}
	j.Metrics.Observe(r.Phases)
	if err := hist.add(r); err != nil {
		return r.Step, err
	}
	j.Show.Update(r.Step, lossText(r))
	if j.afterStep != nil {
		if err := j.afterStep(r.Step); err != nil {
			return r.Step, err
		}
	}
	// All ranks know the same of r.Asked, which travelled with the losses, so they stop
	// behind the same step.
	every := j.Config.Checkpoint.Every
	if r.Asked || every > 0 && r.Step%every == 0 && r.Step < w.Steps {
		if err := w.checkpoint(ctx); err != nil {
			return r.Step, err
		}
	}
	if r.Asked {
		return r.Step, w.stopped(ctx)
	}
	return r.Step, nil
}

// stopped is the end of all ranks after a step, whose checkpoint is written. All ranks
// call it: some may not have been asked.
func (w *work) stopped(ctx context.Context) error {
	by, err := w.j.ranks.AskedBy(ctx)
	if err != nil {
		return err
	}
	if by == 0 {
		return fmt.Errorf("%s: a rank was asked to end, but none says so", w.Name)
	}
	step, of := w.trainer.Done()
	return &barrier.Interrupted{Signal: by, Kept: fmt.Sprintf("after step %d of %d of %s: checkpoint kept, continue with %s", step, of, w.Name, w.j.Spell("resume", ""))}
}

// unchanged refuses files that are not as they were when the stage read them.
func (w *work) unchanged(ctx context.Context) error {
	return w.j.inputs.Unchanged(ctx, w.reads, w.From.Path(), w.read)
}

// replaces looks at what an earlier run left of a stage that begins anew: work
// that is not finished is refused, a finished model will be replaced.
// Only rank 0 calls it, whose folder is the one that is resumed.
func (w *work) replaces() error {
	j, name := w.j, w.Name
	if j.Config.Resume {
		return nil
	}
	resume, another := j.Spell("resume", ""), j.Spell("name", "")
	left, err := train.Checkpoints(w.ckpt)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %s is of a run that was interrupted: %s goes on from there, %s begins another run; remove it to begin this one again", name, left[len(left)-1], resume, another)
	}
	if _, err := os.Stat(j.dir.Path(name, rundir.RecordFile)); err == nil {
		j.Show.Printf("%s: the model of an earlier run in %s will be replaced (%s keeps it, %s begins another run)", name, j.dir.Path(name), resume, another)
	}
	return nil
}
