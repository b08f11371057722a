//go:build cuda && cgo && linux

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/cuda/simtest"
)

// simulated gives the environment of commands that run on a simulated device
// with these settings.
func simulated(t *testing.T, settings string, more ...string) []string {
	t.Helper()
	return append([]string{"VGID_CUDA_DRIVER=" + simtest.Library(t), "VGID_CUDA_SIM=" + settings}, more...)
}

// What can be wrong with a card is one line that says what and what to do.
func TestBadDeviceSimulated(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		env            []string
		want           []string
	}{
		{"no driver", "", []string{"VGID_CUDA_DRIVER=/nowhere/libcuda.so.1"}, []string{"no CUDA driver", "/nowhere/libcuda.so.1", "--device cpu"}},
		{"no card", "devices=0", nil, []string{"no card", "--device cpu"}},
		{"none visible", "", []string{"CUDA_VISIBLE_DEVICES="}, []string{`CUDA_VISIBLE_DEVICES is ""; unset it or name devices that nvidia-smi lists, or use --device cpu`}},
		{"wrong card", "", []string{"CUDA_VISIBLE_DEVICES=4"}, []string{`CUDA_VISIBLE_DEVICES is "4"`}},
		{"old driver", "ptx=71,driver=11010", nil, []string{"CUDA 11.1", "too old", "update"}},
		{"driver without compiler", "load=221", nil, []string{"libnvidia-ptxjitcompiler", "NVIDIA_DRIVER_CAPABILITIES"}},
		{"in exclusive use", "retain=46", nil, []string{"exclusive mode", "nvidia-smi -c DEFAULT"}},
		{"full", "retain=2", nil, []string{"no memory for another process"}},
		{"little memory", "memory=6000000", nil, []string{"a step takes", "5.7 MiB are free", "are missing", "--unlearn."}},
		{"lost at once", "lose_after=3", nil, []string{"the CUDA device is lost", "Xid in dmesg; a run with checkpoints goes on with --resume"}},
		{"lost in a step", "lose_after=400", nil, []string{", step ", "the CUDA device is lost", "CUDA_ERROR_UNKNOWN", "--resume"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, simulated(t, c.settings, c.env...), program, unlearnWith(t.TempDir(), map[string]string{"device": "cuda"})...)
			code, text := p.wait(), p.err.String()
			if code != 1 || strings.Count(text, "\n") != 1 {
				t.Errorf("exit %d, not one line: %q", code, text)
			}
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q does not say %q", text, w)
				}
			}
		})
	}
}

// Memory that runs out in a step: what was asked for, what is held, what is free,
// what helps.
func TestMemoryRunsOutSimulated(t *testing.T) {
	p := start(t, simulated(t, "memory=4000000"), program, "bench", "step", "--device", "cuda", "--shape", "tiny", "--batch", "4", "--steps", "1", "--rounds", "1")
	code, text := p.wait(), p.err.String()
	if code != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("exit %d, not one line: %q", code, text)
	}
	for _, w := range []string{"has no memory for", "this process holds", "of weights", "are free", "lower the batch (--"} {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// The size of a card is read from it.
func TestInspectSimulated(t *testing.T) {
	p := start(t, simulated(t, "memory=50000000"), program, "inspect", "--model", world.Model, "--device", "cuda")
	if code := p.wait(); code != 0 || !strings.Contains(p.out.String(), "the GPU has 47.7 MiB, ") || !strings.Contains(p.out.String(), "more") {
		t.Errorf("exit %d: %s%s", code, p.out.String(), p.err.String())
	}
}

// Without cuBLASLt, or with one that does not do what we take it to do, the run
// goes on with our own products, and says so.
func TestWithoutCuBLASLtSimulated(t *testing.T) {
	for _, c := range []struct{ settings, library, says string }{
		{"", "/nowhere/libcublasLt.so", "VGID_CUBLASLT: cuBLASLt: /nowhere/libcublasLt.so: cannot open"},
		{"lt=1", "", "cuBLASLt does not work on this device"},
		{"lt=2", "", "it multiplies wrongly: element (0, "},
		{"lt=13", "", "CUBLAS_STATUS_EXECUTION_FAILED"},
	} {
		p := start(t, simulated(t, c.settings, "VGID_CUBLASLT="+c.library), program,
			unlearnWith(t.TempDir(), map[string]string{"device": "cuda", "unlearn.steps": "1"})...)
		if code := p.wait(); code != 0 || !strings.Contains(p.err.String(), c.says) || !strings.Contains(p.out.String(), "own products") {
			t.Errorf("%+v: exit %d\n%s\n%s", c, code, p.out.String(), p.err.String())
		}
	}
}

// Two worker processes on one simulated device train as one does.
func TestProcessesShareADeviceSimulated(t *testing.T) {
	env := simulated(t, "seed=3")
	dir := t.TempDir()
	set := map[string]string{"device": "cuda", "collective.bucket_kib": "16"}
	set["name"] = "one"
	if p := start(t, env, program, unlearnWith(dir, set)...); p.wait() != 0 {
		t.Fatal(p.err.String())
	}
	set["name"] = "two"
	args := append([]string{"--nodes", "2", "--local", "--", program}, unlearnWith(dir, set)...)
	if p := start(t, env, launcher(t), args...); p.wait() != 0 {
		t.Fatal(p.err.String())
	}
	one, two := losses(t, dir, "one"), losses(t, dir, "two")
	for i := range one {
		if math.Abs(one[i]-two[i]) > 5e-5*one[i] {
			t.Errorf("step %d: loss %.9g with two processes, %.9g with one", i+1, two[i], one[i])
		}
	}
}

// losses gives the whole loss of each step of unlearning.
func losses(t *testing.T, dir, name string) []float64 {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name, "unlearned", "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		var p struct{ Loss map[string]float64 }
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, l := range p.Loss {
			sum += l
		}
		out = append(out, sum)
	}
	if len(out) != 5 {
		t.Fatalf("%s: %d steps", name, len(out))
	}
	return out
}

// Both steps of an adapter's bench run on a device, in bfloat16 and TF32, and the
// table says what it cannot know.
func TestBenchAdapterSimulated(t *testing.T) {
	env := simulated(t, "seed=3")
	for _, args := range [][]string{{"--step", "train"}, {"--step", "vgid", "--precision", "tf32"}} {
		p := start(t, env, program, append([]string{"bench", "step", "--device", "cuda", "--shape", "tiny", "--batch", "2", "--tokens", "12", "--steps", "1", "--rounds", "1"}, args...)...)
		if code := p.wait(); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, p.err.String())
		}
		for _, w := range []string{"tokens/s", "unknown", "of weights", "of activations", args[1] + " step"} {
			if !strings.Contains(p.out.String(), w) {
				t.Errorf("%v: %q does not say %q", args, p.out.String(), w)
			}
		}
	}
}
