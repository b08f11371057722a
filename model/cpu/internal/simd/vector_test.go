package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// versions runs a test on every version of the code that this machine has.
func versions(t *testing.T, f func(t *testing.T)) {
	for l := Portable; l <= AVX512; l++ {
		t.Run(l.String(), func(t *testing.T) {
			if l > Current() {
				t.Skipf("this processor has no %v: that assembly cannot run", l)
			}
			defer Limit(l)()
			f(t)
		})
	}
}

// grid is n values spread over [lo, hi].
func grid(lo, hi float64, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(lo + (hi-lo)*float64(i)/float64(n-1))
	}
	return x
}

// relative is |got-want| over max(|want|, floor).
func relative(got float32, want, floor float64) float64 {
	return math.Abs(float64(got)-want) / max(math.Abs(want), floor)
}

// Derivatives have roots, near which only the absolute error is bounded. Where
// an activation is e^u of a rounded u, its relative error grows with |u|.
func TestFunctionsAgainstMath(t *testing.T) {
	grad := func(f func(dx, dy, x []float32)) func(y, x []float32) {
		return func(y, x []float32) {
			dy := make([]float32, len(x))
			Fill(dy, 1)
			f(y, dy, x)
		}
	}
	for _, c := range []struct {
		name          string
		f             func(y, x []float32)
		want          func(float64) float64
		lo, hi, floor float64
		limit         float64
	}{
		{"exp", func(y, x []float32) { ExpSum(y, x, 0) }, math.Exp, -87.3, 88, 0, 1e-7},
		{"gelu", GELU, gelu, -13, 20, 1e-30, 1e-6},
		{"gelu'", grad(GELUBackward), geluGrad, -12, 12, 0.1, 1e-6},
		{"geluTanh", GELUTanh, geluTanh, -5, 12, 1e-30, 3e-6},
		{"geluTanh'", grad(GELUTanhBackward), geluTanhGrad, -12, 12, 0.1, 1e-6},
		{"quickGELU", QuickGELU, quickGELU, -50, 50, 1e-30, 6e-6},
		{"quickGELU'", grad(QuickGELUBackward), quickGELUGrad, -50, 50, 0.1, 1e-6},
		{"silu", SiLU, silu, -87, 100, 1e-30, 3e-7},
		{"silu'", grad(SiLUBackward), siluGrad, -87, 100, 0.1, 1e-6},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions(t, func(t *testing.T) {
				x := grid(c.lo, c.hi, 100003)
				y := make([]float32, len(x))
				c.f(y, x)
				worst, at := 0.0, float32(0)
				for i, v := range x {
					if e := relative(y[i], c.want(float64(v)), c.floor); !(e <= worst) {
						worst, at = e, v
					}
				}
				t.Logf("largest relative error %.3g at %v", worst, at)
				if !(worst <= c.limit) {
					t.Errorf("relative error %.3g at %v, allowed %.3g", worst, at, c.limit)
				}
			})
		})
	}
}

func TestExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x := []float32{-inf, -1e30, -200, 200, nan, 0, 1, 2, 3}
	y := make([]float32, len(x))
	versions(t, func(t *testing.T) {
		ExpSum(y, x, 0)
		if y[0] != 0 || y[1] != 0 || y[2] != 0 || y[5] != 1 || !(y[3] > 1e38) || y[4] == y[4] {
			t.Errorf("exp of %v is %v", x, y)
		}
		for _, f := range []func(y, x []float32){GELU, GELUTanh, QuickGELU, SiLU} {
			f(y[1:], x[1:])
			if y[2] != 0 && math.Abs(float64(y[2])) > 1e-30 || y[3] != 200 || y[4] == y[4] || y[5] != 0 {
				t.Errorf("activation of %v is %v", x, y)
			}
		}
		if m := Max([]float32{-inf, -5, -7}); m != -5 {
			t.Errorf("max is %v", m)
		}
	})
}

// TestEveryLength compares the two versions of every function on lengths that
// reach each tail, inside a buffer whose other elements must not change.
func TestEveryLength(t *testing.T) {
	if Current() == Portable {
		t.Skip("this processor has no AVX2 and FMA: there is one version only")
	}
	type vectors = [5][]float32
	cases := map[string]func(v vectors) float32{
		"add":             func(v vectors) float32 { Add(v[0], v[1], v[2]); return 0 },
		"axpy":            func(v vectors) float32 { Axpy(v[0], 0.7, v[1]); return 0 },
		"scale":           func(v vectors) float32 { Scale(v[0], 0.7, v[1]); return 0 },
		"rotate":          func(v vectors) float32 { Rotate(v[0], v[1], v[2], v[3], -1); return 0 },
		"sum":             func(v vectors) float32 { return Sum(v[0]) },
		"dot":             func(v vectors) float32 { return Dot(v[0], v[1]) },
		"dot3":            func(v vectors) float32 { return Dot3(v[0], v[1], v[2], 0.3) },
		"squares":         func(v vectors) float32 { return Squares(v[0], 0.3) },
		"squares64":       func(v vectors) float32 { return float32(Squares64(v[0])) },
		"max":             func(v vectors) float32 { return Max(v[0]) },
		"normScale":       func(v vectors) float32 { NormScale(v[0], v[1], v[2], 0.3, 1.5); return 0 },
		"normBackward":    func(v vectors) float32 { NormBackward(v[0], v[1], v[2], v[3], 1, 2, 0.3, 0.1); return 0 },
		"normWeight":      func(v vectors) float32 { NormWeight(v[0], v[1], v[2], 0.3, 1.5); return 0 },
		"swiglu":          func(v vectors) float32 { SwiGLU(v[0], v[1], v[2]); return 0 },
		"swigluBackward":  func(v vectors) float32 { SwiGLUBackward(v[0], v[1], v[2], v[3], v[4]); return 0 },
		"expSum":          func(v vectors) float32 { return ExpSum(v[0], v[1], 0.2) },
		"softmaxBackward": func(v vectors) float32 { SoftmaxBackward(v[0], v[1], v[2], 0.3, 0.5); return 0 },
		"kl":              func(v vectors) float32 { return KL(v[0], v[1], 1, 2, 0.5) },
		"adamw": func(v vectors) float32 {
			for i := range v[3] { // the second moment is never negative
				v[3][i] *= v[3][i]
			}
			AdamW(v[0], v[1], v[2], v[3], 0.9, 0.9, 0.99, 1e-2, 1.1, 1e-8, 0.99)
			return 0
		},
	}
	const guard = 9
	for name, f := range cases {
		for n := 0; n <= 70; n++ {
			r := rand.New(rand.NewPCG(7, uint64(n)))
			var got, want [5][]float32
			for i := range got {
				got[i] = make([]float32, n+2*guard)
				for j := range got[i] {
					got[i][j] = r.Float32()*2 - 1
				}
				want[i] = append([]float32(nil), got[i]...)
			}
			inner := func(x [5][]float32) (v vectors) {
				for i := range v {
					v[i] = x[i][guard : guard+n]
				}
				return v
			}
			a := f(inner(got))
			restore := Limit(Portable)
			b := f(inner(want))
			restore()
			if d := math.Abs(float64(a - b)); d > 1e-5 {
				t.Errorf("%s of %d elements returns %v, portable %v", name, n, a, b)
			}
			for i := range got {
				for j := range got[i] {
					outside := j < guard || j >= guard+n
					if d := math.Abs(float64(got[i][j] - want[i][j])); d > 1e-6*(1+math.Abs(float64(want[i][j]))) || outside && d != 0 {
						t.Fatalf("%s of %d elements: array %d element %d is %v, portable %v", name, n, i, j-guard, got[i][j], want[i][j])
					}
				}
			}
		}
	}
}

func TestBF16(t *testing.T) {
	versions(t, func(t *testing.T) {
		x := []float32{1, -1, 1.00390625, 1.01171875, 1.003908, 3.3895314e38, 3.4e38, 1e-40,
			float32(math.NaN()), float32(math.Inf(-1)), math.Float32frombits(0x7f800001)}
		want := []uint16{0x3f80, 0xbf80, 0x3f80, 0x3f82, 0x3f81, 0x7f7f, 0x7f80, 1, 0x7fc0, 0xff80, 0x7fc0}
		x, want = append(x, x...), append(want, want...) // a vector and a tail see each
		got := make([]uint16, len(x))
		ToBF16(got, x)
		for i := range x {
			if got[i] != want[i] {
				t.Errorf("%v becomes %#04x, want %#04x", x[i], got[i], want[i])
			}
		}
		back := make([]float32, len(x))
		FromBF16(back, got)
		for i := range back {
			if math.Float32bits(back[i]) != uint32(got[i])<<16 {
				t.Errorf("%#04x becomes %v", got[i], back[i])
			}
		}
	})
}
