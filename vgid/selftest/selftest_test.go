package selftest

import (
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/ref"
)

// scaled computes one operation wrongly.
type scaled struct{ backend.Device }

func (s scaled) SwiGLU(y, gate, up backend.Tensor) {
	s.Device.SwiGLU(y, gate, up)
	s.Device.Scale(y, 1.001)
}

// The reference passes for a device; one wrong operation is found.
func TestFindsDifferences(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	var out strings.Builder
	if err := Run(t.Context(), ref.New(), be, Options{Rounds: 1}, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := Run(t.Context(), backend.New(scaled{ref.New().Device()}), be, Options{Rounds: 1}, &out); err == nil || !strings.Contains(err.Error(), "1 of ") {
		t.Errorf("a wrong swiglu is answered by %v", err)
	}
}
