package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/vgidtest"
)

// However many ranks are asked to end, and whenever, all end behind the same step
// with a checkpoint, and the run that goes on from it is, to the bit, the one that
// was never disturbed.
func TestRanksEndBehindTheSameStep(t *testing.T) {
	long(t)
	r := rand.New(rand.NewPCG(9, 41))
	for _, over := range []map[string]string{
		{"unlearn.lora.dropout": "0.1", "unlearn.accumulate": "2"},
		{"unlearn.lora.r": "0", "unlearn.alternate": "true", "checkpoint.every": "3"},
	} {
		over["unlearn.steps"] = "6"
		c := vgidtest.Small(t, over)
		begin := func(workers int, f func(ctx context.Context, j *Job)) []error {
			return tryWorld(t, workers, c, func(ctx context.Context, j *Job) error {
				f(ctx, j)
				p, err := j.People(ctx)
				if err == nil {
					_, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
				}
				return err
			})
		}
		for workers := 1; workers <= 3; workers++ {
			if full := over["unlearn.lora.r"] == "0"; full != (workers == 1) {
				continue
			}
			c.Resume, c.Name = false, fmt.Sprintf("whole-%d", workers)
			for _, err := range begin(workers, func(context.Context, *Job) {}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			c.Name = fmt.Sprintf("parts-%d", workers)
			first := r.IntN(workers) // asks, and others later or never
			at := make([]int, workers)
			for i := range at {
				at[i] = 1 + r.IntN(9)
			}
			at[first] = 1 + r.IntN(5)
			from := map[string]bool{}
			for rank, err := range begin(workers, func(ctx context.Context, j *Job) {
				ask, mine := asking(ctx), at[j.Comm.Rank()]
				j.afterStep = func(step int) error {
					if step == mine {
						ask(syscall.SIGTERM)
					}
					return nil
				}
			}) {
				var i *barrier.Interrupted
				if !errors.As(err, &i) || i.Signal != syscall.SIGTERM {
					t.Fatalf("%d workers asked after steps %v: rank %d ends with %v", workers, at, rank, err)
				}
				from[err.Error()] = true
			}
			step := at[first]
			for _, s := range at {
				step = min(step, s)
			}
			want := fmt.Sprintf("interrupted (SIGTERM) after step %d of 6 of unlearned: checkpoint kept, continue with --resume", step+1)
			if len(from) != 1 || !from[want] {
				t.Errorf("%d workers asked after steps %v end with %v, want %s", workers, at, from, want)
			}
			c.Resume = true
			for _, err := range begin(workers, func(context.Context, *Job) {}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range []string{"unlearned/model/model.safetensors", "unlearned/history.jsonl"} {
				if !bytes.Equal(fileOf(t, c, fmt.Sprintf("whole-%d", workers), f), fileOf(t, c, c.Name, f)) {
					t.Errorf("%d workers interrupted after step %d and resumed: %s differs from the undisturbed run's", workers, step+1, f)
				}
			}
		}
	}
}

func fileOf(t *testing.T, c config.Config, run, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(c.Out, run, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Asked in the last step, a stage keeps its checkpoint and writes its model when it
// goes on.
func TestEndBehindTheLastStep(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "3"})
	begin := func(f func(ctx context.Context, j *Job)) error {
		return tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
			f(ctx, j)
			p, err := j.People(ctx)
			if err == nil {
				_, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
			}
			return err
		})[0]
	}
	err := begin(func(ctx context.Context, j *Job) {
		ask := asking(ctx)
		j.afterStep = func(step int) error {
			if step == 2 {
				ask(syscall.SIGUSR1)
			}
			return nil
		}
	})
	if err == nil || err.Error() != "interrupted (SIGUSR1) after step 3 of 3 of unlearned: checkpoint kept, continue with --resume" {
		t.Fatal(err)
	}
	c.Resume = true
	if err := begin(func(context.Context, *Job) {}); err != nil {
		t.Fatal(err)
	}
	if h, err := ReadHistory(filepath.Join(c.Out, c.Name, "unlearned", "history.jsonl")); err != nil || len(h) != 3 {
		t.Errorf("%d steps in the history, %v", len(h), err)
	}
}

// Asked while its model is written, a stage is finished first.
func TestEndBehindTheModel(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "2"})
	err := tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
		ask := asking(ctx)
		j.afterStep = func(step int) error {
			if step == 2 { // it is behind the exchange
				ask(syscall.SIGTERM)
			}
			return nil
		}
		p, err := j.People(ctx)
		if err != nil {
			return err
		}
		s, err := j.Unlearn(ctx, "unlearned", c.Model.Base, p)
		if err != nil {
			t.Errorf("the stage: %v", err)
			return nil
		}
		readModel(t, s.Model)
		_, _, err = j.Evaluate(ctx, "unlearned", s.Model, p)
		return err
	})[0]
	if want := "interrupted (SIGTERM) between stages; finished and kept: unlearned; continue with --resume"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
