package simd

import (
	"math"
	"testing"
)

// grid is n values spread over [lo, hi], in groups that cover every tail length.
func grid(lo, hi float64, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(lo + (hi-lo)*float64(i)/float64(n-1))
	}
	return x
}

func TestExpSum(t *testing.T) {
	x := grid(-87.3, 88, 200003)
	y := make([]float32, len(x))
	ExpSum(y, x, 0)
	worst, at := 0.0, float32(0)
	for i, v := range x {
		want := math.Exp(float64(v))
		if e := math.Abs(float64(y[i])-want) / want; e > worst {
			worst, at = e, v
		}
	}
	t.Logf("largest relative error %.3g at %v", worst, at)
	if worst > 2e-7 {
		t.Errorf("relative error %.3g at %v", worst, at)
	}
}
