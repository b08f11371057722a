//go:build cuda && cgo && linux

package selftest

import (
	"errors"
	"strings"
	"testing"

	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/model/cuda/kernels/simbuild"
	"vgid/model/cuda/sim"
)

// The self-test passes on the simulated device, bf16 operands included.
func TestSelftestSimulated(t *testing.T) {
	lib, err := sim.Library(t.Context())
	if errors.Is(err, simbuild.ErrNoCompiler) {
		t.Skip("SKIPPED: simulated device: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VGID_CUDA_DRIVER", lib)
	dev, err := cuda.Open(0, cuda.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	reference := cpu.New(0)
	defer reference.Close()
	var out strings.Builder
	if err := Run(t.Context(), dev, reference, Options{Seed: 9, Rounds: 2, Steps: 1}, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	narrow, err := cuda.Open(0, cuda.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.Close()
	if err := Train(t.Context(), narrow, reference, 1, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
