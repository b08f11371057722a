//go:build cuda && cgo && linux

package selftest

import (
	"strings"
	"testing"

	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/model/cuda/simtest"
)

// The self-test passes on the simulated device, bf16 operands included.
func TestSelftestSimulated(t *testing.T) {
	simtest.Device(t)
	dev, err := cuda.Open(0, cuda.Options{})
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
	narrow, err := cuda.Open(0, cuda.Options{Precision: cuda.BFloat16})
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.Close()
	if err := Train(t.Context(), narrow, reference, 1, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
