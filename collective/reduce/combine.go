package reduce

import "unsafe"

// Combine sets dst = dst ⊕ pieces element by element; together the pieces are as long
// as dst.
func Combine(dt DType, op Op, dst []byte, pieces [][]byte) {
	c := Combiner{DType: dt, Op: op, Dst: dst}
	for _, p := range pieces {
		c.Add(p)
	}
}

// Combiner does the same with pieces that come one after another. An element may
// straddle two of them.
type Combiner struct {
	DType DType
	Op    Op
	Dst   []byte // what is left of it
	// FromBF16 says that the pieces are BF16, while Dst is F32 and Op Sum or Avg; Replace
	// that these are no summands but take the place of Dst.
	FromBF16, Replace bool

	carry [8]byte // the part of an element that came
	have  int
}

// Add combines the next piece.
func (c *Combiner) Add(p []byte) {
	size := c.DType.Size()
	if c.FromBF16 {
		size = BF16.Size()
	}
	if c.have > 0 {
		k := copy(c.carry[c.have:size], p)
		c.have += k
		p = p[k:]
		if c.have < size {
			return
		}
		c.whole(c.carry[:size], size)
	}
	if n := len(p) / size * size; n > 0 {
		c.whole(p[:n], size)
		p = p[n:]
	}
	c.have = copy(c.carry[:], p)
}

// whole combines elements of so many bytes, of which each lies in one piece.
func (c *Combiner) whole(src []byte, size int) {
	n := len(src) / size * c.DType.Size()
	dst := c.Dst[:n]
	c.Dst = c.Dst[n:]
	switch {
	case !c.FromBF16:
		whole(c.DType, c.Op, dst, src)
	case c.Replace:
		widenBF16(viewAs[float32](dst), viewAs[uint16](src))
	default:
		addBF16(viewAs[float32](dst), viewAs[uint16](src))
	}
}

// whole combines elements of which each lies in one piece.
func whole(dt DType, op Op, dst, src []byte) {
	switch dt {
	case F32:
		floats(op, viewAs[float32](dst), viewAs[float32](src))
	case F64:
		loop(op, viewAs[float64](dst), viewAs[float64](src))
	case I64:
		loop(op, viewAs[int64](dst), viewAs[int64](src))
	case I32:
		loop(op, viewAs[int32](dst), viewAs[int32](src))
	case U8:
		loop(op, dst, src)
	case BF16:
		halves(op, viewAs[uint16](dst), viewAs[uint16](src), widenBF16, narrowBF16)
	case F16:
		halves(op, viewAs[uint16](dst), viewAs[uint16](src), widenF16, narrowF16)
	}
}

// number is what Go calculates with.
type number interface {
	float32 | float64 | int32 | int64 | uint8 | uint16
}

// viewAs reads bytes as elements. Received bytes may be unaligned; the 64-bit
// machines this runs on (amd64, arm64, riscv64, loong64, ppc64le) allow it.
func viewAs[T number](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(*new(T))))
}

func floats(op Op, d, s []float32) {
	if op == Sum || op == Avg {
		addF32(d, s)
		return
	}
	loop(op, d, s)
}

func loop[T number](op Op, d, s []T) {
	s = s[:len(d)]
	switch op {
	case Sum, Avg:
		for i := range d {
			d[i] += s[i]
		}
	case Min:
		for i := range d {
			d[i] = min(d[i], s[i])
		}
	case Max:
		for i := range d {
			d[i] = max(d[i], s[i])
		}
	case Prod:
		for i := range d {
			d[i] *= s[i]
		}
	}
}

// blockLen is how many 16-bit floats are widened at a time: few enough that the
// wide copies, 2 KiB, stay in the first cache.
const blockLen = 256

// halves combines 16-bit floats in float32.
func halves(op Op, d, s []uint16, widen func([]float32, []uint16), narrow func([]uint16, []float32)) {
	var a, b [blockLen]float32
	for len(d) > 0 {
		n := min(len(d), blockLen)
		widen(a[:n], d[:n])
		widen(b[:n], s[:n])
		floats(op, a[:n], b[:n])
		narrow(d[:n], a[:n])
		d, s = d[n:], s[n:]
	}
}

// PackBF16 rounds F32 elements to BF16: dst is half as long as src.
func PackBF16(dst, src []byte) { narrowBF16(viewAs[uint16](dst), viewAs[float32](src)) }

// RoundBF16 has F32 elements become what PackBF16 makes of them.
func RoundBF16(b []byte) {
	var narrow [blockLen]uint16
	for d := viewAs[float32](b); len(d) > 0; {
		n := min(len(d), blockLen)
		narrowBF16(narrow[:n], d[:n])
		widenBF16(d[:n], narrow[:n])
		d = d[n:]
	}
}

// Divide makes a sum over n ranks their average.
func Divide(dt DType, dst []byte, n int) {
	switch dt {
	case F32:
		d := viewAs[float32](dst)
		for i := range d {
			d[i] /= float32(n)
		}
	case F64:
		d := viewAs[float64](dst)
		for i := range d {
			d[i] /= float64(n)
		}
	case I64:
		divideWhole(viewAs[int64](dst), n)
	case I32:
		divideWhole(viewAs[int32](dst), n)
	case U8:
		divideWhole(dst, n)
	case BF16:
		divideHalves(viewAs[uint16](dst), n, widenBF16, narrowBF16)
	case F16:
		divideHalves(viewAs[uint16](dst), n, widenF16, narrowF16)
	}
}

// divideWhole divides in 64 bits: n ranks may be more than the type can count.
func divideWhole[T int64 | int32 | uint8](d []T, n int) {
	for i := range d {
		d[i] = T(int64(d[i]) / int64(n))
	}
}

func divideHalves(d []uint16, n int, widen func([]float32, []uint16), narrow func([]uint16, []float32)) {
	var a [blockLen]float32
	for len(d) > 0 {
		k := min(len(d), blockLen)
		widen(a[:k], d[:k])
		for i := range a[:k] {
			a[i] /= float32(n)
		}
		narrow(d[:k], a[:k])
		d = d[k:]
	}
}
