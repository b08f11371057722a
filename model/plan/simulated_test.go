//go:build cuda && cgo && linux

package plan

import (
	"path/filepath"
	"slices"
	"testing"

	"vgid/model/backend"
	"vgid/model/cuda"
	"vgid/model/cuda/simtest"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
)

// What is estimated for a GPU is what the backend says it held when it held most:
// to the byte for every purpose but workspace, which may differ by 64 KiB: what
// sums over rows leave aside and the words that faults are reported in. The
// simulated cuBLASLt takes no workspace.
func TestEstimatedForCUDASimulated(t *testing.T) {
	simtest.Device(t)
	for _, c := range []struct {
		precision   cuda.Precision
		activations backend.DType
		weights     string
	}{{cuda.Float32, backend.F32, "bfloat16"}, {cuda.BFloat16, backend.BF16, "auto"}} {
		onModels(t, func(t *testing.T, dir string, o Options) {
			if !slices.Contains([]string{"llava_list_full", "qwen2_gqa_tied_flat", "qwen25_mha"}, filepath.Base(dir)) {
				t.Skip("one of a family is enough on a simulated device")
			}
			o.Load.Weights = c.weights
			o.Device = dry.CUDA(c.activations)
			o.Device.LogitBytes, o.Device.LtBytes = 1<<20, 0
			needs, err := Estimate(t.Context(), modeldir.Open(dir), o)
			if err != nil {
				t.Fatal(err)
			}
			others := o
			others.Training = training("npo", 1) // which reads before it knows what its rows weigh
			more, err := Estimate(t.Context(), modeldir.Open(dir), others, LoRAStep)
			if err != nil {
				t.Fatal(err)
			}
			more[0].Step = "npo's " + LoRAStep
			for _, want := range append(needs, more...) {
				o, step := o, want.Step
				if want.Step == more[0].Step {
					o, step = others, LoRAStep
				}
				be, err := cuda.Open(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20, Precision: c.precision})
				if err != nil {
					t.Fatal(err)
				}
				if err := Do(t.Context(), be, modeldir.Open(dir), o, step); err != nil {
					t.Fatal(err)
				}
				got := be.Peak()
				if err := be.Close(); err != nil {
					t.Fatal(err)
				}
				workspace := got[backend.Workspace] - want.ByPurpose[backend.Workspace]
				got[backend.Workspace] = want.ByPurpose[backend.Workspace]
				if got != want.ByPurpose || workspace < -64<<10 || workspace > 64<<10 {
					t.Errorf("activations in %v, weights %s, %s: %v and %d bytes more of workspace were held; estimated were %v",
						c.activations, c.weights, want.Step, got, workspace, want.ByPurpose)
				}
			}
		})
	}
}
