//go:build cuda && cgo && linux

package vgid

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/model/cuda/driver"
	"vgid/model/cuda/kernels/simbuild"
	"vgid/model/cuda/sim"
)

func simulatedDevice(t *testing.T) {
	t.Helper()
	lib, err := sim.Library(t.Context())
	if errors.Is(err, simbuild.ErrNoCompiler) {
		t.Skip("SKIPPED: simulated device: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VGID_CUDA_DRIVER", lib)
	if os.Getenv("VGID_CUDA_SIM") == "" {
		t.Setenv("VGID_CUDA_SIM", "seed=11")
	}
}

// VGID on the simulated device is VGID on the CPU, and two workers that share
// the device are one. Losses may differ by 5e-5 of the whole: five steps of sums
// in another order were seen to make 1e-5 of it.
func TestUnlearnSimulated(t *testing.T) {
	simulatedDevice(t)
	run := func(name string, workers int, open func() (backend.Backend, error)) ([]Point, map[string][]float32) {
		c := small(t, map[string]string{"unlearn.lora.dropout": "0.1"})
		c.Name, c.Collective.Bucket = name, 16
		var stage Stage
		onDevices(t, workers, c, open, func(ctx context.Context, j *Job) error {
			p, err := j.People(ctx)
			if err != nil {
				return err
			}
			s, err := j.Unlearn(ctx, "unlearned", c.Model.Base, p)
			if j.lead() {
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
	onCPU, cpuWeights := run("cpu", 1, func() (backend.Backend, error) { return cpu.New(1), nil })
	gpu := func() (backend.Backend, error) {
		return cuda.OpenWith(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20})
	}
	one, oneWeights := run("one", 1, gpu)
	two, twoWeights := run("two", 2, gpu)
	same(t, "the simulated device", one, onCPU, 5e-5)
	same(t, "two workers on it", two, one, 5e-5)
	if d := moved(t, oneWeights, cpuWeights); d > 1e-3 {
		t.Errorf("the simulated device ends %g away from the CPU", d)
	}
	if d := moved(t, twoWeights, oneWeights); d > 1e-3 {
		t.Errorf("two workers end %g away from one", d)
	}
	if n := driver.SimulatedCounter("pageable"); n != 0 {
		t.Errorf("%d copies went through memory that is not page-locked", n)
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
	simulatedDevice(t)
	c := small(t, map[string]string{"unlearn.steps": "2", "train.steps": "2"})
	onDevices(t, 1, c, func() (backend.Backend, error) { return cuda.Open(0) }, func(ctx context.Context, j *Job) error {
		if err := j.Agree(ctx); err != nil {
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
