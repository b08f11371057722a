package reduce

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func bytesOf[T number](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(*new(T))))
}

// half describes a 16-bit float by its parts alone.
type half struct {
	name     string
	dtype    DType
	exponent int // bits
	bias     int
	widen    func([]float32, []uint16)
	narrow   func([]uint16, []float32)
	widenP   func([]float32, []uint16)
	narrowP  func([]uint16, []float32)
	roundoff float64 // half a unit in the last place, relative
}

var halfTypes = []half{
	{"bf16", BF16, 8, 127, widenBF16, narrowBF16, widenBF16Plain, narrowBF16Plain, 0x1p-8},
	{"f16", F16, 5, 15, widenF16, narrowF16, widenF16Plain, narrowF16Plain, 0x1p-11},
}

// value is what the bits stand for, by the definition of IEEE 754.
func (t half) value(h uint16) float64 {
	fraction := 15 - t.exponent
	e := int(h>>fraction) & (1<<t.exponent - 1)
	m := float64(h & (1<<fraction - 1))
	var v float64
	switch {
	case e == 1<<t.exponent-1 && m != 0:
		return math.NaN()
	case e == 1<<t.exponent-1:
		v = math.Inf(1)
	case e == 0:
		v = math.Ldexp(m, 1-t.bias-fraction)
	default:
		v = math.Ldexp(m+math.Ldexp(1, fraction), e-t.bias-fraction)
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return v
}

func every16() []uint16 {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	return all
}

func sameFloat(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// All 65,536 values widen to what they stand for, and narrow to themselves.
func TestHalvesWidenExactly(t *testing.T) {
	for _, h := range halfTypes {
		for way, f := range map[string]func([]float32, []uint16){"kernel": h.widen, "plain": h.widenP} {
			wide := make([]float32, 1<<16)
			f(wide, every16())
			back := make([]uint16, 1<<16)
			h.narrow(back, wide)
			for i, w := range wide {
				v := h.value(uint16(i))
				if !sameFloat(float64(w), v) {
					t.Fatalf("%s %s: %#x is %v, want %v", h.name, way, i, w, v)
				}
				if v == v && back[i] != uint16(i) {
					t.Fatalf("%s: %#x comes back as %#x", h.name, i, back[i])
				}
			}
		}
	}
}

// Between every two neighbours, the float32 at the middle and beside it narrow to
// the nearest, the middle itself to the even one.
func TestHalvesNarrowToNearestEven(t *testing.T) {
	for _, h := range halfTypes {
		infinite := uint16(1<<h.exponent-1) << (15 - h.exponent)
		var in []float32
		var want []uint16
		for low := range infinite {
			a := h.value(low)
			b := h.value(low + 1)
			if low+1 == infinite { // where the next number would be, were there one
				b = a + (a - h.value(low-1))
			}
			middle := float32((a + b) / 2)
			even := low + low&1
			for _, sign := range []uint16{0, 0x8000} {
				s := float32(1)
				if sign != 0 {
					s = -1
				}
				in = append(in, s*middle, s*math.Nextafter32(middle, 0), s*math.Nextafter32(middle, float32(math.Inf(1))))
				want = append(want, sign|even, sign|low, sign|(low+1))
			}
		}
		for way, f := range map[string]func([]uint16, []float32){"kernel": h.narrow, "plain": h.narrowP} {
			got := make([]uint16, len(in))
			f(got, in)
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%s %s: %v (%#x) narrows to %#x, want %#x", h.name, way, in[i], math.Float32bits(in[i]), got[i], want[i])
				}
			}
		}
	}
}

// Kernels and plain loops give the same bits for anything, NaNs included, of any
// length and alignment.
func TestKernelsEqualPlain(t *testing.T) {
	for _, h := range halfTypes {
		for n := range 200 {
			wide := make([]float32, n+1)
			for i := range wide {
				wide[i] = math.Float32frombits(rand.Uint32())
				if i%3 == 0 { // NaN, or infinite
					wide[i] = math.Float32frombits(math.Float32bits(wide[i]) | 0x7f800000)
				}
			}
			for off := range 2 {
				a, b := make([]uint16, n+1), make([]uint16, n+1)
				h.narrow(a[off:], wide[off:])
				h.narrowP(b[off:], wide[off:])
				if !slices.Equal(a, b) {
					t.Fatalf("%s: %d values, %d off: narrow gives %#x, plain %#x of %v", h.name, n, off, a, b, wide)
				}
				for i := range a {
					a[i] = uint16(rand.Uint32())
				}
				x, y := make([]float32, n+1), make([]float32, n+1)
				h.widen(x[off:], a[off:])
				h.widenP(y[off:], a[off:])
				if !slices.Equal(bytesOf(x), bytesOf(y)) {
					t.Fatalf("%s: %d values, %d off: widen gives %v, plain %v of %#x", h.name, n, off, x, y, a)
				}
			}
		}
	}
	for n := range 300 {
		for off := range 3 {
			x, h := make([]float32, n+off), make([]uint16, n+off)
			for i := range x { // infinities among them, and of each pair at most one NaN
				x[i], h[i] = rand.Float32(), uint16(rand.Uint32())
				if i%7 == 0 {
					x[i], h[i] = math.Float32frombits(rand.Uint32()), 0x7f80
				}
			}
			p := slices.Clone(x)
			addBF16Plain(p[off:], h[off:])
			addBF16(x[off:], h[off:])
			if !slices.Equal(bytesOf(x), bytesOf(p)) {
				t.Fatalf("BF16 added to float32: n=%d off=%d differs", n, off)
			}
		}
		for off := range 3 {
			x, y := make([]float32, n+off), make([]float32, n+off)
			for i := range x {
				x[i], y[i] = rand.Float32(), rand.Float32()
			}
			p := slices.Clone(x)
			addF32Plain(p[off:], y[off:])
			addF32(x[off:], y[off:])
			if !slices.Equal(x, p) {
				t.Fatalf("n=%d off=%d differs", n, off)
			}
		}
	}
}

// Every 16-bit value with a sample of others: the combination is the exact
// result, rounded once.
func TestHalvesCombineAsFloat32(t *testing.T) {
	for _, h := range halfTypes {
		values := make([]float32, 1<<16)
		for i := range values {
			values[i] = float32(h.value(uint16(i)))
		}
		partners := []uint16{0, 0x8000, 1, 0x8001, 0x3f80, 0x3c00, 0x7bff, 0x7c00, 0x7f7f, 0x7f80, 0x7fc1, 0xff80}
		for range 12 {
			partners = append(partners, uint16(rand.Uint32()))
		}
		for _, op := range []Op{Sum, Avg, Min, Max, Prod} {
			for _, p := range partners {
				got := every16()
				Combine(h.dtype, op, bytesOf(got), [][]byte{bytesOf(slices.Repeat([]uint16{p}, 1<<16))})
				want := make([]float32, 1<<16)
				b := values[p]
				for i, a := range values {
					switch op {
					case Sum, Avg:
						want[i] = a + b
					case Min:
						want[i] = min(a, b)
					case Max:
						want[i] = max(a, b)
					case Prod:
						want[i] = a * b
					}
				}
				rounded := make([]uint16, 1<<16)
				h.narrowP(rounded, want)
				for i := range got {
					if g, w := values[got[i]], values[rounded[i]]; !sameFloat(float64(g), float64(w)) {
						t.Fatalf("%s: %#x %v %#x is %#x (%v), want %#x (%v)", h.name, i, op, p, got[i], g, rounded[i], w)
					}
				}
			}
		}
	}
}

// The bound that the package states for sums of 16-bit floats.
func TestHalvesErrorBound(t *testing.T) {
	for _, h := range halfTypes {
		rapid.Check(t, func(rt *rapid.T) {
			n := rapid.IntRange(1, 100).Draw(rt, "ranks")
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
			var sum [1]uint16
			exact, size := 0.0, 0.0
			for range n {
				var x [1]uint16
				h.narrow(x[:], []float32{float32(rng.NormFloat64())})
				v := h.value(x[0])
				exact, size = exact+v, size+math.Abs(v)
				Combine(h.dtype, Sum, bytesOf(sum[:]), [][]byte{bytesOf(x[:])})
			}
			// The first combination is with 0, and exact. Below the normal numbers
			// sums of F16 are exact, so that the bound holds there as well.
			bound := (math.Pow(1+h.roundoff, float64(n-1)) - 1) * size
			if err := math.Abs(h.value(sum[0]) - exact); err > bound*(1+1e-12) {
				rt.Fatalf("%s: the sum over %d ranks errs by %v, more than %v", h.name, n, err, bound)
			}
		})
	}
}

// combineAll reduces the rows to one by Combine and Divide.
func combineAll[T number](dt DType, op Op, rows [][]T) []T {
	out := slices.Clone(rows[0])
	for _, r := range rows[1:] {
		Combine(dt, op, bytesOf(out), [][]byte{bytesOf(r)})
	}
	if op == Avg {
		Divide(dt, bytesOf(out), len(rows))
	}
	return out
}

// Integers wrap at the width of their type; an average divides the wrapped sum
// towards zero, also among more ranks than the type can count.
func TestIntegersWrap(t *testing.T) {
	check := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("u8 sum", combineAll(U8, Sum, [][]uint8{{200}, {100}})[0], uint8(44))
	check("u8 prod", combineAll(U8, Prod, [][]uint8{{16}, {17}})[0], uint8(16))
	check("u8 avg", combineAll(U8, Avg, [][]uint8{{200}, {100}})[0], uint8(22))
	check("u8 max", combineAll(U8, Max, [][]uint8{{200}, {100}})[0], uint8(200))
	check("i32 sum", combineAll(I32, Sum, [][]int32{{math.MaxInt32}, {1}})[0], int32(math.MinInt32))
	check("i32 avg", combineAll(I32, Avg, [][]int32{{-4}, {-3}})[0], int32(-3))
	check("i32 min", combineAll(I32, Min, [][]int32{{-4}, {3}})[0], int32(-4))
	check("i64 sum", combineAll(I64, Sum, [][]int64{{math.MinInt64}, {-1}})[0], int64(math.MaxInt64))
	check("i64 avg", combineAll(I64, Avg, [][]int64{{-4}, {-3}})[0], int64(-3))
	many := slices.Repeat([][]uint8{{1}}, 300)
	check("u8 avg of 300 ranks", combineAll(U8, Avg, many)[0], uint8(0))
	check("u8 sum of 300 ranks", combineAll(U8, Sum, many)[0], uint8(44))
}

func TestNaNAndZeroInMinAndMax(t *testing.T) {
	nan, minus := math.NaN(), math.Copysign(0, -1)
	for _, c := range []struct{ a, b, least, most float64 }{{1, nan, nan, nan}, {nan, 1, nan, nan}, {0, minus, minus, 0}, {minus, 0, minus, 0}, {-1, 2, -1, 2}} {
		for op, want := range map[Op]float64{Min: c.least, Max: c.most} {
			got := []float64{combineAll(F64, op, [][]float64{{c.a}, {c.b}})[0], float64(combineAll(F32, op, [][]float32{{float32(c.a)}, {float32(c.b)}})[0])}
			for _, h := range halfTypes {
				var x, y [1]uint16
				h.narrow(x[:], []float32{float32(c.a)})
				h.narrow(y[:], []float32{float32(c.b)})
				got = append(got, h.value(combineAll(h.dtype, op, [][]uint16{x[:], y[:]})[0]))
			}
			for _, g := range got {
				if !sameFloat(g, want) {
					t.Errorf("%v of %v and %v is %v, want %v", op, c.a, c.b, got, want)
				}
			}
		}
	}
}

// Combine takes the source cut anywhere, also inside elements, for every type.
func TestCombineAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dt := DType(rapid.IntRange(0, int(endDType)-1).Filter(func(d int) bool { return DType(d).Reducible() }).Draw(t, "dtype"))
		op := Op(rapid.IntRange(0, int(endOp)-1).Draw(t, "op"))
		n := rapid.IntRange(0, 700).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		a, b := make([]byte, n*dt.Size()), make([]byte, n*dt.Size())
		for i := range a {
			a[i], b[i] = byte(rng.Uint32()), byte(rng.Uint32())&0x3f // b holds no NaN, whose bits may come from either side
		}
		want := slices.Clone(a)
		for i := 0; i < len(want); i += dt.Size() {
			Combine(dt, op, want[i:i+dt.Size()], [][]byte{b[i : i+dt.Size()]})
		}
		var pieces [][]byte
		for src := b; len(src) > 0; {
			k := rapid.IntRange(0, min(len(src), 150)).Draw(t, "cut")
			pieces = append(pieces, slices.Clone(src[:k]))
			src = src[k:]
		}
		Combine(dt, op, a, pieces)
		if !slices.Equal(a, want) {
			t.Fatalf("%v by %v: %x, want %x", dt, op, a, want)
		}
	})
}

// What travels as BF16 is added to F32, or replaces it, wherever the pieces are cut;
// and who rounds its own has what the others get.
func TestBF16OnTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 700).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		own, theirs := make([]float32, n), make([]float32, n)
		for i := range own {
			own[i], theirs[i] = float32(rng.NormFloat64()), math.Float32frombits(rng.Uint32())
		}
		wire := make([]byte, 2*n)
		PackBF16(wire, bytesOf(theirs))
		rounded, sum := slices.Clone(theirs), slices.Clone(own)
		RoundBF16(bytesOf(rounded))
		for i := range sum {
			sum[i] += rounded[i]
		}
		for _, replace := range []bool{false, true} {
			got, want := slices.Clone(own), sum
			if replace {
				want = rounded
			}
			c := Combiner{DType: F32, Op: Sum, Dst: bytesOf(got), FromBF16: true, Replace: replace}
			for src := wire; len(src) > 0; {
				k := rapid.IntRange(0, min(len(src), 150)).Draw(t, "cut")
				c.Add(slices.Clone(src[:k]))
				src = src[k:]
			}
			if !slices.Equal(bytesOf(got), bytesOf(want)) {
				t.Fatalf("replace %v: %v, want %v", replace, got, want)
			}
		}
	})
}

func TestNames(t *testing.T) {
	for d := DType(0); d <= endDType; d++ {
		if d.Valid() != (d < endDType) || d.String() == "" || d.Size() < 1 || d.Reducible() != (d.Valid() && d != Bytes) {
			t.Errorf("%d: %v", d, d)
		}
	}
	for o := Op(0); o <= endOp; o++ {
		if o.Valid() != (o < endOp) || o.String() == "" {
			t.Errorf("%d: %v", o, o)
		}
	}
}

func BenchmarkCombine(b *testing.B) {
	for dt := range endDType {
		if !dt.Reducible() {
			continue
		}
		for _, op := range []Op{Sum, Max} {
			b.Run(dt.String()+"/"+op.String(), func(b *testing.B) {
				x, y := make([]byte, 256<<10), make([]byte, 256<<10)
				b.SetBytes(int64(len(x)))
				for b.Loop() {
					Combine(dt, op, x, [][]byte{y})
				}
			})
		}
	}
	for name, f := range map[string]func(d, s []float32){"kernel": addF32, "plain": addF32Plain} {
		b.Run("add/"+name, func(b *testing.B) {
			x, y := make([]float32, 64<<10), make([]float32, 64<<10)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				f(x, y)
			}
		})
	}
	for name, f := range map[string]func([]float32, []uint16){"kernel": addBF16, "plain": addBF16Plain} {
		b.Run("add bf16/"+name, func(b *testing.B) {
			x, y := make([]float32, 64<<10), make([]uint16, 64<<10)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				f(x, y)
			}
		})
	}
	for _, h := range halfTypes {
		wide, narrow := make([]float32, 16<<10), make([]uint16, 16<<10)
		for name, f := range map[string]func(){
			"widen/kernel": func() { h.widen(wide, narrow) }, "widen/plain": func() { h.widenP(wide, narrow) },
			"narrow/kernel": func() { h.narrow(narrow, wide) }, "narrow/plain": func() { h.narrowP(narrow, wide) },
		} {
			b.Run(h.name+"/"+name, func(b *testing.B) {
				b.SetBytes(2 * 16 << 10)
				for b.Loop() {
					f()
				}
			})
		}
	}
}
