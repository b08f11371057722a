package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vgid/vgid/config"
)

// asking lets a test ask a rank to end.
func asking(j *Job) func(syscall.Signal) {
	ctx, cancel := context.WithCancelCause(context.Background())
	j.Asked = ctx
	return func(s syscall.Signal) { cancel(&Interrupted{Signal: s}) }
}

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
		c := small(t, over)
		begin := func(workers int, f func(j *Job)) []error {
			return tryWorld(t, workers, c, func(ctx context.Context, j *Job) error {
				f(j)
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
			for _, err := range begin(workers, func(*Job) {}) {
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
			for rank, err := range begin(workers, func(j *Job) {
				ask, mine := asking(j), at[j.Comm.Rank()]
				j.afterStep = func(step int) error {
					if step == mine {
						ask(syscall.SIGTERM)
					}
					return nil
				}
			}) {
				var i *Interrupted
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
			for _, err := range begin(workers, func(*Job) {}) {
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
	c := small(t, map[string]string{"unlearn.steps": "3"})
	begin := func(f func(j *Job)) error {
		return tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
			f(j)
			p, err := j.People(ctx)
			if err == nil {
				_, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
			}
			return err
		})[0]
	}
	err := begin(func(j *Job) {
		ask := asking(j)
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
	if err := begin(func(*Job) {}); err != nil {
		t.Fatal(err)
	}
	if h, err := ReadHistory(filepath.Join(c.Out, c.Name, "unlearned", "history.jsonl")); err != nil || len(h) != 3 {
		t.Errorf("%d steps in the history, %v", len(h), err)
	}
}

// Asked while its model is written, a stage is finished first.
func TestEndBehindTheModel(t *testing.T) {
	c := small(t, map[string]string{"unlearn.steps": "2"})
	err := tryWorld(t, 1, c, func(ctx context.Context, j *Job) error {
		ask := asking(j)
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

// Work that heeds its context ends on all ranks when one is asked, long before it
// is done; what does not heed it is done to its end.
func TestMeetEndsWhenARankIsAsked(t *testing.T) {
	c := small(t, nil)
	c.Collective.Timeout = 20 * time.Second
	for asked := range 3 {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			said := map[string]int{}
			onWorld(t, 3, c, func(ctx context.Context, j *Job) error {
				j.doing, j.done = "eval-gold", []string{"vanilla", "gold"}
				ask := asking(j)
				ended := false
				if err := j.onLead(ctx, func() error {
					if j.Comm.Rank() == 0 && asked == 0 {
						ask(syscall.SIGINT)
					}
					time.Sleep(time.Minute)
					ended = true
					return nil
				}); err != nil || ended != (j.Comm.Rank() == 0) {
					t.Errorf("rank %d: %v, ended %t", j.Comm.Rank(), err, ended)
				}
				begin := time.Now()
				_, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
					switch {
					case j.Comm.Rank() == asked:
						ask(syscall.SIGINT)
						return nil, nil // it has nothing to do
					case j.Comm.Rank() == (asked+1)%3:
						return nil, nil
					}
					select {
					case <-ctx.Done():
						return nil, fmt.Errorf("question 7: %w", ctx.Err())
					case <-time.After(time.Hour):
						return nil, nil
					}
				})
				if d := time.Since(begin); d > time.Minute {
					t.Errorf("rank %d ended after %v", j.Comm.Rank(), d)
				}
				mu.Lock()
				defer mu.Unlock()
				said[fmt.Sprint(err)]++
				return nil
			})
			want := "interrupted (SIGINT) in the evaluation of gold, which begins again; finished and kept: vanilla, gold; continue with --resume"
			if said[want] != 3 {
				t.Errorf("rank %d was asked: %v, want all ranks to say %s", asked, said, want)
			}
		})
	}
}

// A failure that has nothing to do with the signal stays what it is.
func TestFailureAfterASignal(t *testing.T) {
	onWorld(t, 2, small(t, nil), func(ctx context.Context, j *Job) error {
		ask := asking(j)
		_, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
			ask(syscall.SIGTERM)
			<-ctx.Done()
			if j.Comm.Rank() == 1 {
				return nil, errors.New("the disk is full")
			}
			return nil, nil
		})
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("rank %d: %v", j.Comm.Rank(), err)
		}
		return nil
	})
}
