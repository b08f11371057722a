//go:build cuda && cgo && linux

package cuda

import (
	"strings"
	"testing"
)

// A cuBLASLt that is asked for and not there is told to the caller, in one line,
// and to nobody else; work goes on.
func TestWarnsSimulated(t *testing.T) {
	var lines []string
	be := openTest(Options{CuBLASLt: "/absent/libcublasLt.so", Warn: func(line string) { lines = append(lines, line) }})(t)
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "VGID_CUBLASLT: cuBLASLt: /absent/") || !strings.HasSuffix(lines[0], "slower kernels") {
		t.Errorf("told %q", lines)
	}
	x := denseTensor(t, be, 0, 4, 4)
	be.Add(x, x, x)
	if err := be.Sync(); err != nil {
		t.Error(err)
	}
}
