package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// product is one call of Mul whose surroundings hold NaN: reading them into a
// result, or writing them, shows.
type product struct {
	m, n, kc   int
	rs, cs, bs int
	a, b, bias []float32
	ldc        int
	c          []float32 // as it was
	e          Epilogue
}

const guard = 40

func nans(n int) []float32 {
	x := make([]float32, n)
	Fill(x, float32(math.NaN()))
	return x
}

func newProduct(r *rand.Rand, m, n, kc, rs, cs int) product {
	p := product{m: m, n: n, kc: kc, rs: rs, cs: cs, bs: n + r.IntN(3)*5, ldc: n + r.IntN(3)*7}
	p.e = Epilogue{Alpha: []float32{1, -0.5}[r.IntN(2)], Beta: []float32{0, 1, 0.3}[r.IntN(3)]}
	p.a, p.b, p.c = nans(m*rs+kc*cs), nans(kc*max(p.bs, 32)+guard), nans(m*p.ldc+guard)
	for k := range kc {
		for i := range m {
			p.a[i*rs+k*cs] = r.Float32() - 0.5
		}
		for j := range n {
			p.b[k*p.bs+j] = r.Float32() - 0.5
		}
	}
	if p.e.Beta != 0 {
		for i := range m {
			for j := range n {
				p.c[i*p.ldc+j] = r.Float32()
			}
		}
	}
	if r.IntN(2) == 0 {
		p.bias = nans(n + guard)[:n]
		for j := range p.bias {
			p.bias[j] = r.Float32()
		}
	}
	return p
}

func (p product) run() []float32 {
	c := append([]float32(nil), p.c...)
	Mul(p.m, p.n, p.kc, p.a, p.rs, p.cs, p.b, p.bs, c, p.ldc, p.e, p.bias)
	return c
}

func (p product) check(c []float32) error {
	for o, got := range c {
		i, j := o/p.ldc, o%p.ldc
		if i >= p.m || j >= p.n {
			if math.Float32bits(got) != math.Float32bits(p.c[o]) {
				return fmt.Errorf("element %d outside of c became %v", o, got)
			}
			continue
		}
		want := 0.0
		for k := range p.kc {
			want += float64(p.a[i*p.rs+k*p.cs]) * float64(p.b[k*p.bs+j])
		}
		want *= float64(p.e.Alpha)
		if p.bias != nil {
			want += float64(p.bias[j])
		}
		if p.e.Beta != 0 {
			want += float64(p.e.Beta) * float64(p.c[o])
		}
		if !(math.Abs(float64(got)-want) <= 1e-5) {
			return fmt.Errorf("element (%d, %d) is %v, want %v", i, j, got, want)
		}
	}
	return nil
}

// TestMulEveryTile runs every kernel: each height and width, on packed panels,
// rows and, where that is fast, columns.
func TestMulEveryTile(t *testing.T) {
	versions(t, func(t *testing.T) {
		tile := CurrentTile()
		r := rand.New(rand.NewPCG(5, 6))
		for m := 1; m <= tile.Rows; m++ {
			for n := 1; n <= tile.Cols; n++ {
				for _, kc := range []int{1, 2, 7, 70} {
					strides := [][2]int{{1, tile.Rows}, {kc + r.IntN(9), 1}}
					if InPlace() {
						strides = append(strides, [2]int{1, m + r.IntN(9)}, [2]int{3, 3*m + 1})
					}
					for _, s := range strides {
						p := newProduct(r, m, n, kc, s[0], s[1])
						if err := p.check(p.run()); err != nil {
							t.Fatalf("%d×%d×%d, A by %v, %+v, bias %v: %v", m, n, kc, s, p.e, p.bias != nil, err)
						}
					}
				}
			}
		}
	})
}

// TestMulManyRows runs more rows than a tile has, which are read in place.
func TestMulManyRows(t *testing.T) {
	versions(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for m := 1; m <= 40; m++ {
			p := newProduct(r, m, 1+r.IntN(CurrentTile().Cols), 9, 9+r.IntN(4), 1)
			if err := p.check(p.run()); err != nil {
				t.Fatalf("%d×%d: %v", m, p.n, err)
			}
		}
	})
}

// TestMulSameBits: the chains of multiply-adds of AVX2 and AVX-512 are the same.
func TestMulSameBits(t *testing.T) {
	if Current() < AVX512 {
		t.Skipf("this processor has no %v: there is nothing to compare", AVX512)
	}
	r := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		kc := 1 + r.IntN(100)
		p := newProduct(r, 1+r.IntN(20), 1+r.IntN(16), kc, kc, 1)
		wide := p.run()
		restore := Limit(AVX2)
		narrow := p.run()
		restore()
		for i := range wide {
			if math.Float32bits(wide[i]) != math.Float32bits(narrow[i]) {
				t.Fatalf("%d×%d×%d %+v: element %d is %v with AVX-512, %v with AVX2", p.m, p.n, p.kc, p.e, i, wide[i], narrow[i])
			}
		}
	}
}

// TestMulAlphaNaN: a factor that is no number must show in the result.
func TestMulAlphaNaN(t *testing.T) {
	versions(t, func(t *testing.T) {
		c := make([]float32, 1)
		Mul(1, 1, 1, []float32{1}, 1, 1, make([]float32, 32), 32, c, 1, Epilogue{Alpha: float32(math.NaN())}, nil)
		if c[0] == c[0] {
			t.Errorf("alpha NaN gives %v", c[0])
		}
	})
}

func TestPackPanels(t *testing.T) {
	versions(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, w := range []int{6, 12, 16, 32} {
			for n := 1; n < 20; n++ {
				ld := 4*w + r.IntN(9)
				src := make([]float32, n*ld)
				for i := range src {
					src[i] = r.Float32()
				}
				src = src[:(n-1)*ld+4*w] // nothing beyond may be read
				ps := w*n + 2 + r.IntN(5)
				dst := make([]float32, 3*ps+w*n)
				PackPanels(w, n, src, ld, dst, ps)
				for q := range 4 {
					for k := range n {
						for j := range w {
							if got, want := dst[q*ps+k*w+j], src[k*ld+q*w+j]; got != want {
								t.Fatalf("width %d, %d rows: element %d of row %d of panel %d is %v, want %v", w, n, j, k, q, got, want)
							}
						}
					}
				}
			}
		}
	})
}
