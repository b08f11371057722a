package cpu

import (
	"testing"

	"go.uber.org/goleak"

	"vgid/model/backend"
	"vgid/model/backend/compliance"
	"vgid/model/cpu/internal/simd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(threads int) func(t *testing.T) backend.Backend {
	return func(t *testing.T) backend.Backend {
		b := New(threads)
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return b
	}
}

// One thread is covered by TestThreadsGiveTheSameBits, which compares with the
// reference too.
func TestCompliance(t *testing.T) { compliance.Run(t, open(3)) }

func TestCompliancePortable(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the suite runs a second time, on the slow kernels")
	}
	defer simd.Limit(simd.Portable)()
	compliance.Run(t, open(2))
}

func TestThreadsGiveTheSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the suite runs twice more")
	}
	compliance.SameBits(t, open(1), open(2))
}

// levels are the instruction sets of this machine.
func levels() (all []simd.Level) {
	for l := simd.Portable; l <= simd.Current(); l++ {
		all = append(all, l)
	}
	return all
}
