//go:build cuda && cgo && linux

package run

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/model/cuda/simtest"
	"vgid/vgid/config"
	"vgid/vgid/run/rundir"
	"vgid/vgid/vgidtest"
)

// unlearnOn takes the five steps of unlearning on devices, and gives the losses
// and the resulting weights.
func unlearnOn(t *testing.T, workers int, c config.Config, open func() (backend.Backend, error)) ([]Point, map[string][]float32) {
	t.Helper()
	var stage rundir.Stage
	onDevices(t, workers, c, open, func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err != nil {
			return err
		}
		s, err := j.Unlearn(ctx, "unlearned", c.Model.Base, p)
		if j.ranks.Rank() == 0 {
			stage = s
		}
		return err
	})
	h, err := ReadHistory(filepath.Join(c.Out, c.Name, stage.Name, "history.jsonl"))
	if err != nil || len(h) != 5 {
		t.Fatalf("history: %v, %d steps", err, len(h))
	}
	return h, readModel(t, stage.Model)
}

// VGID on the simulated device is VGID on the CPU, and two workers that share
// the device are one. Losses may differ by 5e-5 of the whole: five steps of sums
// in another order were seen to make 1e-5 of it.
func TestUnlearnSimulated(t *testing.T) {
	simtest.Device(t)
	zero := 0
	run := func(name string, workers int, open func() (backend.Backend, error)) ([]Point, map[string][]float32) {
		c := vgidtest.Small(t, map[string]string{"unlearn.lora.dropout": "0.1"})
		c.Name, c.Collective.Bucket, c.Collective.Zero = name, 16, zero
		return unlearnOn(t, workers, c, open)
	}
	onCPU, cpuWeights := run("cpu", 1, func() (backend.Backend, error) { return cpu.New(1), nil })
	gpu := func() (backend.Backend, error) {
		return cuda.Open(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20})
	}
	one, oneWeights := run("one", 1, gpu)
	two, twoWeights := run("two", 2, gpu)
	// Sharded, they come to the same bits.
	zero = 1
	sharded, shardedWeights := run("sharded", 2, gpu)
	same(t, "two workers that share the optimizer's work", sharded, two, 0)
	if d := moved(t, shardedWeights, twoWeights); d != 0 {
		t.Errorf("two workers that share the optimizer's work end %g away", d)
	}
	same(t, "the simulated device", one, onCPU, 5e-5)
	same(t, "two workers on it", two, one, 5e-5)
	if d := moved(t, oneWeights, cpuWeights); d > 1e-3 {
		t.Errorf("the simulated device ends %g away from the CPU", d)
	}
	if d := moved(t, twoWeights, oneWeights); d > 1e-3 {
		t.Errorf("two workers end %g away from one", d)
	}
	if n := simtest.Counter("pageable"); n != 0 {
		t.Errorf("%d copies went through memory that is not page-locked", n)
	}
}

// Nothing waits for the device inside a step: micro-batches add no waits (20, were
// each to wait; a wait for an empty queue does not count, so the numbers may differ
// a little). And the next pass's input arrives while earlier passes still compute, in
// this step and of the next: 447,000 bytes, were 206,000 when no step was packed
// before the one before had ended, and 1,400 with a single batch in turn.
func TestStepsDoNotWaitSimulated(t *testing.T) {
	simtest.Device(t)
	run := func(accumulate string) (waits, ahead int64) {
		c := vgidtest.Small(t, map[string]string{"unlearn.accumulate": accumulate})
		waits, ahead = simtest.Counter("waits"), simtest.Counter("ahead")
		unlearnOn(t, 1, c, func() (backend.Backend, error) { return cuda.Open(0, cuda.Options{}) })
		return simtest.Counter("waits") - waits, simtest.Counter("ahead") - ahead
	}
	one, aheadOne := run("1")
	four, aheadFour := run("4")
	t.Logf("the host waits %d times in a run of whole batches, %d in one of four micro-batches; %d and %d bytes arrive early", one, four, aheadOne, aheadFour)
	if four > one+3 {
		t.Errorf("the host waits %d times, with micro-batches %d times", one, four)
	}
	if aheadOne < 300_000 || aheadFour < aheadOne {
		t.Errorf("%d bytes of input arrive while earlier passes compute, with micro-batches %d", aheadOne, aheadFour)
	}
}

// Training whose activations are bfloat16 follows the CPU's float32 curve: the
// losses of five steps may differ by 2e-2 of the whole; 7e-3 was seen. What is trained stays
// finite and moves as on the CPU, an adapter and all weights alike.
func TestPrecisionSimulated(t *testing.T) {
	simtest.Device(t)
	for _, c := range []struct {
		name, precision string
		over            map[string]string
		tolerance       float64
	}{
		{"adapter", "bfloat16", map[string]string{"model.weights": "bfloat16", "unlearn.lora.dropout": "0.1", "unlearn.accumulate": "2"}, 2e-2},
		{"all weights", "bfloat16", map[string]string{"unlearn.lora.r": "0", "unlearn.recompute": "true"}, 2e-2},
		{"tf32", "tf32", nil, 1e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := cuda.ParsePrecision(c.precision)
			if err != nil {
				t.Fatal(err)
			}
			run := func(name string, open func() (backend.Backend, error)) []Point {
				cfg := vgidtest.Small(t, c.over)
				cfg.Name = name
				h, values := unlearnOn(t, 1, cfg, open)
				for param, v := range values {
					for _, x := range v {
						if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
							t.Fatalf("%s: %s has %v", name, param, x)
						}
					}
				}
				return h
			}
			want := run("cpu", func() (backend.Backend, error) { return cpu.New(1), nil })
			got := run("gpu", func() (backend.Backend, error) {
				return cuda.Open(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20, Precision: p})
			})
			same(t, c.precision, got, want, c.tolerance)
			for i, s := range got {
				t.Logf("step %d: gradient norm %.5g, on the CPU %.5g", i+1, s.GradNorm, want[i].GradNorm)
				if !(math.Abs(s.GradNorm-want[i].GradNorm) <= 0.1*want[i].GradNorm) {
					t.Errorf("step %d: gradient norm %g, on the CPU %g", i+1, s.GradNorm, want[i].GradNorm)
				}
			}
		})
	}
}

// same compares loss curves on the scale of the whole loss.
func same(t *testing.T, what string, got, want []Point, tolerance float64) {
	t.Helper()
	worst := 0.0
	for i, p := range got {
		whole := 0.0
		for _, l := range want[i].Loss {
			whole += l
		}
		for term, l := range p.Loss {
			d := math.Abs(l-want[i].Loss[term]) / whole
			worst = max(worst, d)
			if !(d <= tolerance) {
				t.Errorf("%s, step %d: %s loss %.9g, want %.9g", what, p.Step, term, l, want[i].Loss[term])
			}
		}
	}
	t.Logf("%s: losses differ by at most %.2g of the whole", what, worst)
}

// A whole run: vanilla, gold, unlearned, evaluation and report.
func TestRunSimulated(t *testing.T) {
	simtest.Device(t)
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "2", "train.steps": "2"})
	onDevices(t, 1, c, func() (backend.Backend, error) { return cuda.Open(0, cuda.Options{}) }, func(ctx context.Context, j *Job) error {
		if err := j.Open(ctx); err != nil {
			return err
		}
		return j.Run(ctx)
	})
	for _, f := range []string{"summary.json", "report.html", "unlearned/adapter/adapter_model.safetensors", "unlearned/answers.jsonl"} {
		if _, err := os.Stat(filepath.Join(c.Out, c.Name, f)); err != nil {
			t.Error(err)
		}
	}
}
