package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"vgid/vgid/train"
)

// Interrupted is the end of a run that was asked to end. All ranks end with it,
// whichever of them were asked.
type Interrupted struct {
	Signal syscall.Signal // that asked
	Kept   string         // where the run was, what is kept and how it goes on; may be empty
}

func (i *Interrupted) Error() string {
	text := "interrupted (" + unix.SignalName(i.Signal) + ")"
	if i.Kept != "" {
		text += " " + i.Kept
	}
	return text
}

// request is the signal by which this rank was asked to end, 0 before that.
func (j *Job) request() syscall.Signal {
	if j.Asked == nil || j.Asked.Err() == nil {
		return 0
	}
	if i := (*Interrupted)(nil); errors.As(context.Cause(j.Asked), &i) {
		return i.Signal
	}
	return syscall.SIGTERM
}

// interrupted is the end of all ranks between or before steps, asked for by s.
func (j *Job) interrupted(s syscall.Signal) *Interrupted {
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
	return &Interrupted{Signal: s, Kept: at + "; " + kept + "; continue with --resume"}
}

// stopped is the end of all ranks after a step of a stage, whose checkpoint is
// written. All ranks call it: some may not have been asked.
func (j *Job) stopped(ctx context.Context, t *train.Trainer) error {
	all, err := j.Comm.AllGatherBytes(ctx, []byte(strconv.Itoa(int(j.request()))))
	if err != nil {
		return err
	}
	for r, word := range all {
		n, err := strconv.Atoi(string(word))
		if err != nil {
			return fmt.Errorf("the signal of rank %d: %w", r, err)
		}
		if n != 0 {
			step, of := t.Done()
			return &Interrupted{Signal: syscall.Signal(n), Kept: fmt.Sprintf("after step %d of %d of %s: checkpoint kept, continue with --resume", step, of, t.Stage)}
		}
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
