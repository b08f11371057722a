package run

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/preflight"
	"vgid/vgid/vgidtest"
)

// bounded is a CPU that says how much memory is left, and knows how much of it
// was asked for.
type bounded struct {
	backend.Backend
	left, live, peak int64
}

func (b *bounded) FreeBytes() (int64, error) { return b.left, nil }

func (b *bounded) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	b.live += int64(n) * int64(dt.Size())
	b.peak = max(b.peak, b.live)
	return b.Backend.Alloc(dt, n)
}

func (b *bounded) Free(x backend.Buffer) {
	b.live -= int64(x.Len()) * int64(x.DType().Size())
	b.Backend.Free(x)
}

// stages are those that take memory, alone.
var stages = map[string]func(ctx context.Context, j *Job) error{
	"vanilla": func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err == nil {
			_, err = j.Reference(ctx, "vanilla", j.Config.Model.Base, p)
		}
		return err
	},
	"eval-base": func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err == nil {
			_, _, err = j.Evaluate(ctx, "base", j.Config.Model.Base, p)
		}
		return err
	},
	"run": func(ctx context.Context, j *Job) error { return j.Run(ctx) },
	"unlearned": func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err == nil {
			_, err = j.Unlearn(ctx, "unlearned", j.Config.Model.Base, p)
		}
		return err
	},
}

// onBounded runs a stage on workers that see so much memory free, in common or
// each for itself, and gives the most that one took and the first error.
func onBounded(t *testing.T, stage string, workers int, left int64, apart bool, c config.Config) (peak int64, err error) {
	t.Helper()
	var mu sync.Mutex
	var devices []*bounded
	open := func() (backend.Backend, error) {
		mu.Lock()
		defer mu.Unlock()
		devices = append(devices, &bounded{Backend: cpu.New(1), left: left})
		return devices[len(devices)-1], nil
	}
	errs := tryDevices(t, workers, c, open, stages[stage], func(rank int, o *Options) {
		if apart {
			o.Place = strconv.Itoa(rank)
		}
	})
	for _, d := range devices {
		peak = max(peak, d.peak)
	}
	for r, e := range errs {
		var peer *barrier.PeerError
		if r > 0 && errs[0] != nil && (!errors.As(e, &peer) || peer.Text != errs[0].Error()) {
			t.Errorf("rank 0 says %v, rank %d %v", errs[0], r, e)
		}
	}
	return peak, errs[0]
}

// A stage is refused when a byte is missing of what its largest step is estimated
// to take, before anything is taken, and runs when it is there.
func TestStagesThatDoNotFitAreRefused(t *testing.T) {
	long(t)
	for _, c := range []struct {
		name, stage string
		over        map[string]string
		says        []string
	}{
		{"an adapter", "unlearned", map[string]string{}, []string{"unlearned: a step takes", "of memory", "are missing; with --unlearn.recompute", "it takes"}},
		{"all weights", "unlearned", map[string]string{"unlearn.lora.r": "0", "unlearn.recompute": "true"}, []string{"--unlearn.accumulate"}},
		{"teacher's answers", "unlearned", map[string]string{"unlearn.responses": "rollout"}, []string{"--unlearn.recompute"}},
		{"graddiff", "unlearned", map[string]string{"unlearn.method": "graddiff"}, []string{"unlearned: a step takes", "--unlearn.recompute"}},
		{"npo", "unlearned", map[string]string{"unlearn.method": "npo", "unlearn.accumulate": "2"}, []string{"unlearned: a step takes", "--unlearn.recompute"}},
		{"npo, all weights", "unlearned", map[string]string{"unlearn.method": "npo", "unlearn.lora.r": "0", "unlearn.recompute": "true"}, []string{"--unlearn.accumulate"}},
		{"supervised", "vanilla", map[string]string{}, []string{"vanilla: a step takes", "--train.recompute"}},
		{"answers", "eval-base", map[string]string{}, []string{"base: answering takes", "--eval.batch_tokens 2048"}},
		{"a run", "run", map[string]string{"unlearn.batch_forget": "40", "eval.max_new": "2", "data.eval_people": "1"}, []string{"unlearned: a step takes", "--unlearn.recompute"}},
		{"a run that goes on", "run", map[string]string{"unlearn.batch_forget": "40", "resume": "true", "eval.max_new": "2", "data.eval_people": "1"}, []string{"unlearned: a step takes", "--unlearn.recompute"}},
		{"nothing helps", "unlearned", map[string]string{"model.weights": "bfloat16", "unlearn.recompute": "true", "unlearn.batch_forget": "1", "unlearn.batch_retain": "0", "unlearn.beta": "0"},
			[]string{"take a machine with more memory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.over["train.steps"], c.over["unlearn.steps"] = "2", "2"
			cfg := vgidtest.Small(t, c.over)
			var short *preflight.MemoryError
			if _, err := onBounded(t, c.stage, 1, 1, false, cfg); !errors.As(err, &short) {
				t.Fatalf("a byte of memory is enough: %v", err)
			}
			need := short.Need
			peak, err := onBounded(t, c.stage, 1, need-1, false, cfg)
			if !errors.As(err, &short) || peak != 0 || short.Free != need-1 {
				t.Fatalf("a byte is missing of %d, %d are taken: %v", need, peak, err)
			}
			t.Log(err)
			for _, w := range c.says {
				if text := err.Error(); !strings.Contains(text, w) || strings.Contains(text, "\n") {
					t.Errorf("%q does not say %q", text, w)
				}
			}
			if peak, err = onBounded(t, c.stage, 1, need, false, cfg); err != nil || peak < need {
				t.Errorf("%d bytes are estimated, %d taken: %v", need, peak, err)
			}
			if cfg.Resume { // what is finished takes nothing any more
				if _, err = onBounded(t, c.stage, 1, 1, false, cfg); err != nil {
					t.Errorf("a finished run that goes on: %v", err)
				}
			}
		})
	}
}

// Workers whose devices have the same memory are counted together.
func TestWorkersShareMemory(t *testing.T) {
	cfg := vgidtest.Small(t, map[string]string{"unlearn.steps": "1"})
	var short *preflight.MemoryError
	if _, err := onBounded(t, "unlearned", 2, 1, false, cfg); !errors.As(err, &short) {
		t.Fatal(err)
	}
	both := short.Need
	_, err := onBounded(t, "unlearned", 2, both-1, false, cfg)
	if !errors.As(err, &short) || !strings.Contains(err.Error(), "for the 2 workers here") {
		t.Errorf("a byte is missing for both: %v", err)
	}
	// Each alone has enough of it, as has the whole of it both.
	for _, apart := range []bool{true, false} {
		left := int64(1 << 40)
		if apart {
			left = both - 1
		}
		if _, err := onBounded(t, "unlearned", 2, left, apart, cfg); err != nil && errors.As(err, &short) {
			t.Errorf("apart %t: %v", apart, err)
		}
	}
}
