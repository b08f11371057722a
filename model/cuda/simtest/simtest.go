// Package simtest gives tests a simulated device.
package simtest

import (
	"errors"
	"os"
	"testing"

	"vgid/model/cuda/internal/kernels/simbuild"
	"vgid/model/cuda/internal/sim"
)

// Library is the path of the simulated device's driver library. A test without a
// compiler to build it is skipped.
func Library(t *testing.T) string {
	t.Helper()
	lib, err := sim.Library(t.Context())
	if errors.Is(err, simbuild.ErrNoCompiler) {
		t.Skip("SKIPPED: simulated device: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// Device lets this test, and what it starts, open the simulated device: its
// streams and blocks in the order of seed 11, or as VGID_CUDA_SIM says.
func Device(t *testing.T) {
	t.Helper()
	t.Setenv("VGID_CUDA_DRIVER", Library(t))
	if os.Getenv("VGID_CUDA_SIM") == "" {
		t.Setenv("VGID_CUDA_SIM", "seed=11")
	}
}
