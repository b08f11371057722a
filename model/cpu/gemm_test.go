package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// problem is a multiplication on views with gaps, whose surroundings hold NaN:
// reading them into a result or writing them shows.
type problem struct {
	m, n, k int
	p       backend.MatMul
	a, b    view
	c       view
	bias    []float32
}

type view struct {
	data            []float32
	off, rows, cols int
	stride          int
}

func (v view) at(i, j int) float64 { return float64(v.data[v.off+i*v.stride+j]) }

// lines are the rows of a view, or its columns.
func (v view) lines(columns bool) [][]float64 {
	rows, cols := v.rows, v.cols
	at := v.at
	if columns {
		rows, cols = cols, rows
		at = func(i, j int) float64 { return v.at(j, i) }
	}
	out, all := make([][]float64, rows), make([]float64, rows*cols)
	for i := range out {
		out[i] = all[i*cols:][:cols]
		for j := range out[i] {
			out[i][j] = at(i, j)
		}
	}
	return out
}

func randomView(r *rand.Rand, rows, cols int) view {
	v := view{off: r.IntN(20), rows: rows, cols: cols, stride: cols + r.IntN(3)*r.IntN(20)}
	v.data = make([]float32, v.off+rows*v.stride+r.IntN(20))
	for i := range v.data {
		v.data[i] = float32(math.NaN())
	}
	for i := range rows {
		for j := range cols {
			v.data[v.off+i*v.stride+j] = r.Float32() - 0.5
		}
	}
	return v
}

// draw picks shapes that reach every strategy and its edges.
func draw(r *rand.Rand) problem {
	size := func() int {
		switch r.IntN(4) {
		case 0:
			return 1 + r.IntN(8)
		case 1:
			return 1 + r.IntN(40)
		}
		return 1 + r.IntN(200)
	}
	q := problem{m: size(), n: size(), k: size()}
	if r.IntN(4) == 0 {
		q.k = 1 + r.IntN(900)
	}
	q.p = backend.MatMul{TransA: r.IntN(2) == 0, TransB: r.IntN(2) == 0, Alpha: []float32{1, 0.5, -2}[r.IntN(3)], Beta: []float32{0, 0, 1, 0.3}[r.IntN(4)]}
	oriented := func(rows, cols int, transposed bool) view {
		if transposed {
			rows, cols = cols, rows
		}
		return randomView(r, rows, cols)
	}
	q.a, q.b = oriented(q.m, q.k, q.p.TransA), oriented(q.k, q.n, q.p.TransB)
	q.c = randomView(r, q.m, q.n)
	if q.p.Beta == 0 && r.IntN(2) == 0 { // old content must not be read
		for i := range q.c.data {
			q.c.data[i] = float32(math.NaN())
		}
	}
	if r.IntN(2) == 0 {
		q.bias = make([]float32, q.n)
		for i := range q.bias {
			q.bias[i] = r.Float32()
		}
	}
	return q
}

// run returns the whole buffer of c after the multiplication.
func (q problem) run(t *testing.T, be backend.Backend, dt backend.DType) []float32 {
	t.Helper()
	var buffers []backend.Buffer
	tensor := func(v view, dt backend.DType) backend.Tensor {
		buf, err := be.Alloc(dt, len(v.data))
		if err != nil {
			t.Fatal(err)
		}
		buffers = append(buffers, buf)
		be.Upload(backend.View(buf, 0, 1, len(v.data)), v.data)
		return backend.Tensor{Buf: buf, Off: v.off, Rows: v.rows, Cols: v.cols, Stride: v.stride}
	}
	p := q.p
	if q.bias != nil {
		p.Bias = tensor(view{data: q.bias, rows: 1, cols: q.n, stride: q.n}, backend.F32)
	}
	c := tensor(q.c, backend.F32)
	be.MatMul(c, tensor(q.a, dt), tensor(q.b, dt), p)
	out := make([]float32, len(q.c.data))
	if err := be.Download(out, backend.View(c.Buf, 0, 1, len(out))); err != nil {
		t.Fatal(err)
	}
	for _, b := range buffers {
		be.Free(b)
	}
	return out
}

// check compares with a sum in double precision; the error of a float32 sum of
// k products of size ≤ 1/4 stays far below k·2⁻²⁴.
func (q problem) check(t *testing.T, got []float32) {
	t.Helper()
	left, right := q.a.lines(q.p.TransA), q.b.lines(!q.p.TransB)
	inside := make([]bool, len(got))
	for i := range q.m {
		for j := range q.n {
			want, row := 0.0, right[j]
			for k, v := range left[i] {
				want += v * row[k]
			}
			want *= float64(q.p.Alpha)
			if q.p.Beta != 0 {
				want += float64(q.p.Beta) * q.c.at(i, j)
			}
			if q.bias != nil {
				want += float64(q.bias[j])
			}
			o := q.c.off + i*q.c.stride + j
			inside[o] = true
			if d := math.Abs(float64(got[o]) - want); !(d <= 1e-6*(4+math.Sqrt(float64(q.k)))) {
				t.Fatalf("%d×%d×%d %+v: element (%d, %d) is %v, want %v", q.m, q.n, q.k, q.p, i, j, got[o], want)
			}
		}
	}
	for o, v := range got {
		if !inside[o] && math.Float32bits(v) != math.Float32bits(q.c.data[o]) {
			t.Fatalf("%d×%d×%d: element %d outside of c changed to %v", q.m, q.n, q.k, o, v)
		}
	}
}

func TestMatMulRandomShapes(t *testing.T) {
	for _, level := range levels() {
		restore := simd.Limit(level)
		one, two := New(1), New(2)
		r := rand.New(rand.NewPCG(1, 2))
		rounds := 200
		if level == simd.Portable || testing.Short() {
			rounds = 50
		}
		for range rounds {
			q := draw(r)
			got := q.run(t, two, backend.F32)
			q.check(t, got)
			for i, v := range q.run(t, one, backend.F32) {
				if math.Float32bits(v) != math.Float32bits(got[i]) {
					t.Fatalf("%d×%d×%d %+v: one and two threads differ: %v, %v", q.m, q.n, q.k, q.p, v, got[i])
				}
			}
		}
		one.Close()
		two.Close()
		restore()
	}
}

// TestLevelsGiveTheSameBits: what one instruction set computes, the other does.
func TestLevelsGiveTheSameBits(t *testing.T) {
	if simd.Current() < simd.AVX512 {
		t.Skipf("this processor has no %v: there is nothing to compare", simd.AVX512)
	}
	be := New(1)
	defer be.Close()
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		q := draw(r)
		wide := q.run(t, be, backend.F32)
		restore := simd.Limit(simd.AVX2)
		narrow := q.run(t, be, backend.F32)
		restore()
		for i, v := range wide {
			if math.Float32bits(v) != math.Float32bits(narrow[i]) {
				t.Fatalf("%d×%d×%d %+v: element %d is %v with AVX-512, %v with AVX2", q.m, q.n, q.k, q.p, i, v, narrow[i])
			}
		}
	}
}

func TestMatMulBF16(t *testing.T) {
	be := New(2)
	defer be.Close()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		q := draw(r)
		got := q.run(t, be, backend.BF16)
		for _, v := range []*view{&q.a, &q.b} { // what the device saw
			h := make([]uint16, len(v.data))
			simd.ToBF16(h, v.data)
			simd.FromBF16(v.data, h)
		}
		q.check(t, got)
	}
}

// A matrix so large that the operand packed whole needs several passes over k.
func TestMatMulPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("a multiplication of half a GFLOP: skipped with -short")
	}
	be := New(2)
	defer be.Close()
	const n, k = 200, 6000
	a, b, c := floats(t, be, n, k), floats(t, be, k, n), floats(t, be, n, n)
	be.MatMul(c, a, b, backend.MatMul{Alpha: 1})
	if up(n, 6)*k <= packLimit {
		t.Fatalf("the case no longer needs more than one pass")
	}
	x, y, z := make([]float32, n*k), make([]float32, n*k), make([]float32, n*n)
	for _, d := range []struct {
		to   []float32
		from backend.Tensor
	}{{x, a}, {y, b}, {z, c}} {
		if err := be.Download(d.to, d.from); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range [][2]int{{0, 0}, {199, 199}, {100, 57}} {
		want := 0.0
		for i := range k {
			want += float64(x[at[0]*k+i]) * float64(y[i*n+at[1]])
		}
		if got := float64(z[at[0]*n+at[1]]); math.Abs(got-want) > 1e-5*math.Sqrt(k)*4 {
			t.Errorf("element %v is %v, want %v", at, got, want)
		}
	}
}
