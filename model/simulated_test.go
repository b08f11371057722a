//go:build cuda && cgo && linux

package model

import (
	"math"
	"path/filepath"
	"testing"

	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/model/cuda/simtest"
)

// With bfloat16 activations, answers are nearly as likely as the CPU's, under
// the CPU's model, and the device's likelihoods are the CPU's.
func TestGenerateBFloat16Simulated(t *testing.T) {
	simtest.Device(t)
	be, err := cuda.Open(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20, Precision: cuda.BFloat16})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	cfg, err := ReadConfig("testdata/golden/llava_list_full")
	if err != nil {
		t.Fatal(err)
	}
	prompts := testPrompts(cfg)
	host := cpu.New(1)
	defer host.Close()
	onCPU, err := New(host, cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer onCPU.Close()
	m, err := New(be, cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, o := t.Context(), GenerateOptions{MaxNew: 4}
	want, err := onCPU.Generate(ctx, prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Generate(ctx, prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	score := func(m *Model, answers [][]int32) []float64 {
		s, err := m.ScoreContinuations(ctx, prompts, answers)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	best, ours, seen := score(onCPU, want), score(onCPU, got), score(m, got)
	for i := range prompts {
		t.Logf("prompt %d: %v, on the CPU %v; -log p %.4f and %.4f, seen on the device as %.4f", i, got[i], want[i], ours[i], best[i], seen[i])
		if !(ours[i] <= best[i]+0.1) {
			t.Errorf("prompt %d: -log p of the answer is %g, of the CPU's %g", i, ours[i], best[i])
		}
		if !(math.Abs(ours[i]-seen[i]) <= 0.1) {
			t.Errorf("prompt %d: -log p is %g on the device, %g on the CPU", i, seen[i], ours[i])
		}
	}
}

// TestAgainstTransformersSimulated holds the GPU's kernels, on the simulated
// device, against transformers on a model of each family.
func TestAgainstTransformersSimulated(t *testing.T) {
	simtest.Device(t)
	for _, name := range []string{"llava_list_full", "qwen2_gqa_tied_flat", "qwen25_mha"} {
		t.Run(name, func(t *testing.T) {
			be, err := cuda.Open(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer be.Close()
			againstTransformers(t, be, filepath.Join("testdata/golden", name))
		})
	}
}
