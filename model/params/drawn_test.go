package params

import (
	"testing"

	"vgid/model/nn"
	"vgid/model/tape"
)

// Values are the same in whatever pieces they are drawn.
func TestDrawnInPieces(t *testing.T) {
	w := &Weight{Weight: &nn.Weight{Param: &tape.Param{Name: "x"}, Std: 0.3}}
	w.Value.Rows, w.Value.Cols = 9, 11
	whole, part := make([]float32, w.Value.Len()), make([]float32, 5)
	w.drawn(whole, 0, 3)
	for at := 0; at+5 <= len(whole); at++ {
		if w.drawn(part, at, 3); [5]float32(part) != [5]float32(whole[at:]) {
			t.Fatalf("from element %d on: %v, want %v", at, part, whole[at:at+5])
		}
	}
	if whole[0] == whole[1] {
		t.Errorf("all values are %g", whole[0])
	}
}
