//go:build cuda && cgo && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"vgid/model/backend"
	"vgid/model/backend/compliance"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels/simbuild"
	"vgid/model/cuda/internal/sim"
)

// The tests run on the simulated device, its streams and blocks in the order of
// seed 7. VGID_CUDA_DRIVER names another driver, VGID_CUDA_SIM other settings.
func TestMain(m *testing.M) {
	if os.Getenv("VGID_CUDA_DRIVER") == "" {
		lib, err := sim.Library(context.Background())
		if errors.Is(err, simbuild.ErrNoCompiler) {
			fmt.Fprintln(os.Stderr, "SKIPPED: simulated device:", err)
			os.Exit(0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Setenv("VGID_CUDA_DRIVER", lib)
		if os.Getenv("VGID_CUDA_SIM") == "" {
			os.Setenv("VGID_CUDA_SIM", "seed=7,devices=2")
		}
	}
	os.Exit(m.Run())
}

// openTest opens a backend whose end checks that nothing is left behind.
func openTest(o Options) func(t *testing.T) backend.Backend {
	if o.StagingBytes == 0 {
		o.StagingBytes = 64 << 10 // so small that pieces and waits occur
	}
	if o.LogitBytes == 0 {
		o.LogitBytes = 64 << 10 // several chunks
	}
	return func(t *testing.T) backend.Backend {
		t.Helper()
		d, err := OpenDevice(0, o)
		if err != nil {
			t.Fatal(err)
		}
		b := backend.New(d)
		t.Cleanup(func() {
			err := b.Sync()
			if e := b.Close(); e != nil {
				t.Error(e)
			}
			if n := driver.SimulatedCounter("live"); err == nil && n > 0 {
				t.Errorf("%d objects or allocations are left behind", n)
			}
		})
		return b
	}
}

func TestComplianceSimulated(t *testing.T) { compliance.Run(t, openTest(Options{})) }

// Without cuBLASLt the products are our own.
func TestComplianceOwnProductsSimulated(t *testing.T) {
	compliance.Run(t, openTest(Options{CuBLASLt: "none"}))
}
