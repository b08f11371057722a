//go:build cuda && cgo && linux

package cuda

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/cuda/internal/kernels/simbuild"
	"vgid/model/cuda/internal/sim"
)

// A mistake in a kernel makes the backend's compliance suite fail, with the fake
// driver built from the mistaken source. The kernels' own tests try many more
// (kernels/mutants_test.go); these few show that the way through the driver and
// the backend hides nothing. As kernels are, the same parts pass:
// TestComplianceSimulated.
func TestComplianceFindsMutantsSimulated(t *testing.T) {
	root, err := simbuild.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		name, unit, file, old, new string
		parts                      string // of the suite
	}{
		{"a norm without a barrier", "norm.cu", "gpu.h",
			"sync_threads();\n  v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : T(0);", "v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : T(0);", "rms_norm"},
		{"keys overwritten while they are read", "attention_any.cu", "attention_any.cu",
			"    sync_threads();  // the keys have been read\n", "", "attention"},
		{"a causal mask one key too far", "attention_any.cu", "attention.h",
			"lk - lq + j + 1", "lk - lq + j + 2", "attention"},
		{"a gathered row off by one", "rows.cu", "rows.cu",
			"i >= 0 && i < limit ? src", "i >= 0 && i < limit - 1 ? src", "gather_rows"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), m.old); n != 1 {
				t.Fatalf("%q occurs %d times in %s", m.old, n, m.file)
			}
			lib, err := sim.LibraryWith(t.Context(), m.unit, map[string]string{m.file: strings.Replace(string(text), m.old, m.new, 1)})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestComplianceSimulated$/^"+m.parts)
			cmd.Env = append(os.Environ(), "VGID_CUDA_DRIVER="+lib)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestComplianceSimulated/"+m.parts) {
				t.Fatalf("the suite finds nothing wrong with %q: %v\n%s", m.new, err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, ".go:") {
					t.Log(strings.TrimSpace(line))
					break
				}
			}
		})
	}
}
