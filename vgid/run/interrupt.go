package run

import (
	"context"
	"fmt"
	"strings"

	"vgid/vgid/run/barrier"
	"vgid/vgid/train"
)

// kept tells, of a run that ends between or before steps, where it was and what is
// kept.
func (j *Job) kept() string {
	kept := "no stage is finished"
	switch {
	case len(j.done) > 0:
		kept = "finished and kept: " + strings.Join(j.done, ", ")
	case j.Config.Resume: // it was not looked at yet
		kept = "what was finished before is kept"
	}
	at := "in " + stageWords(j.doing) + ", which begins again"
	switch {
	case j.doing == "" && len(j.done) == 0:
		at = "before the first stage"
	case j.doing == "":
		at = "between stages"
	case !strings.HasPrefix(j.doing, evalStage) && j.doing != teacherStage:
		at = "before a step of " + j.doing
	}
	return at + "; " + kept + "; continue with --resume"
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

// The stages that train nothing.
const (
	evalStage    = "eval-" // and the model's name
	teacherStage = "teacher"
)

func stageWords(stage string) string {
	if model, ok := strings.CutPrefix(stage, evalStage); ok {
		return "the evaluation of " + model
	}
	if stage == teacherStage {
		return "the look at the teacher"
	}
	return stage
}
