package collective

import "unsafe"

// combine sets dst = dst ⊕ pieces element by element. An element may straddle
// pieces; together they are as long as dst.
func combine(dt DType, op Op, dst []byte, pieces [][]byte) {
	size := dt.Size()
	var carry [8]byte
	have := 0
	for _, p := range pieces {
		if have > 0 {
			k := copy(carry[have:size], p)
			have += k
			p = p[k:]
			if have < size {
				continue
			}
			combineWhole(dt, op, dst[:size], carry[:size])
			dst = dst[size:]
		}
		whole := len(p) / size * size
		if whole > 0 {
			combineWhole(dt, op, dst[:whole], p[:whole])
			dst = dst[whole:]
		}
		have = copy(carry[:], p[whole:])
	}
}

func combineWhole(dt DType, op Op, dst, src []byte) {
	switch dt {
	case TypeF32:
		d, s := viewAs[float32](dst), viewAs[float32](src)
		if op == Sum || op == Avg {
			addF32(d, s)
			return
		}
		combineLoop(op, d, s)
	case TypeF64:
		combineLoop(op, viewAs[float64](dst), viewAs[float64](src))
	case TypeI64:
		combineLoop(op, viewAs[int64](dst), viewAs[int64](src))
	}
}

// viewAs reads bytes as elements. Received bytes may be unaligned; the 64-bit
// machines this runs on (amd64, arm64, riscv64, loong64, ppc64le) allow it.
func viewAs[T float32 | float64 | int64](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(*new(T))))
}

func combineLoop[T float32 | float64 | int64](op Op, d, s []T) {
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

// divide makes a sum over n ranks their average.
func divide(dt DType, dst []byte, n int) {
	switch dt {
	case TypeF32:
		d := viewAs[float32](dst)
		for i := range d {
			d[i] /= float32(n)
		}
	case TypeF64:
		d := viewAs[float64](dst)
		for i := range d {
			d[i] /= float64(n)
		}
	case TypeI64:
		d := viewAs[int64](dst)
		for i := range d {
			d[i] /= int64(n)
		}
	}
}

// place copies the pieces to dst.
func place(dst []byte, pieces [][]byte) {
	for _, p := range pieces {
		dst = dst[copy(dst, p):]
	}
}

func addF32Plain(d, s []float32) {
	s = s[:len(d)]
	for i := range d {
		d[i] += s[i]
	}
}
