//go:build cuda && cgo && linux

package model

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"vgid/model/cuda"
	"vgid/model/cuda/kernels/simbuild"
	"vgid/model/cuda/sim"
)

// TestAgainstTransformersSimulated holds the GPU's kernels, on the simulated
// device, against transformers on a model of each family.
func TestAgainstTransformersSimulated(t *testing.T) {
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
	for _, name := range []string{"llava_list_full", "qwen2_gqa_tied_flat", "qwen25_mha"} {
		t.Run(name, func(t *testing.T) {
			be, err := cuda.OpenWith(0, cuda.Options{StagingBytes: 1 << 20, LogitBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer be.Close()
			againstTransformers(t, be, filepath.Join("testdata/golden", name))
		})
	}
}
