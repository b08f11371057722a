package calltest

import (
	"encoding/binary"
	"math"
	"unsafe"

	"vgid/collective"
)

// Value is element i of what a rank puts in: small whole numbers, so that every
// sum and product over a few ranks is exact in every type.
func Value(rank, i int) int { return (rank*7+i*3+i/5)%4 - 1 }

// input is what a rank puts in.
func (j Job) input(rank, count int) []byte {
	out := j.empty(0)
	for i := range count {
		out = j.append(out, float64(Value(rank, i)))
	}
	return aligned(out)
}

// empty is memory for elements, which are not zero, to see whether they are
// written.
func (j Job) empty(count int) []byte {
	out := aligned(make([]byte, count*j.DType.Size()))
	for i := range out {
		out[i] = 0xa5
	}
	return out
}

// aligned copies to memory that may be seen as any type.
func aligned(b []byte) []byte {
	words := make([]uint64, len(b)/8+1)
	out := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(b))
	copy(out, b)
	return out
}

// buf sees memory as elements.
func (j Job) buf(raw []byte) collective.Buf { return collective.Raw(j.DType, raw) }

// append adds an element; whole numbers wrap.
func (j Job) append(b []byte, v float64) []byte {
	le := binary.LittleEndian
	switch j.DType {
	case collective.TypeF32:
		return le.AppendUint32(b, math.Float32bits(float32(v)))
	case collective.TypeF64:
		return le.AppendUint64(b, math.Float64bits(v))
	case collective.TypeBF16:
		return le.AppendUint16(b, half(v, 8))
	case collective.TypeF16:
		return le.AppendUint16(b, half(v, 5))
	case collective.TypeI32:
		return le.AppendUint32(b, uint32(int64(v)))
	case collective.TypeI64:
		return le.AppendUint64(b, uint64(int64(v)))
	}
	return append(b, byte(int64(v)))
}

// half is the nearest 16-bit float with so many bits of exponent; v is 0 or
// normal.
func half(v float64, exponent int) uint16 {
	if v == 0 {
		return uint16(math.Float64bits(v) >> 48)
	}
	fraction := 15 - exponent
	f, e := math.Frexp(math.Abs(v)) // f is 0.5 … 1
	m := int(math.RoundToEven(math.Ldexp(f, fraction+1)))
	bias := 1<<(exponent-1) - 1
	h := (e-1+bias)<<fraction + m - 1<<fraction // m may round up to the next exponent
	if v < 0 {
		h |= 0x8000
	}
	return uint16(h)
}

// reduced is element i of the reduction over n ranks. float64 holds all of it
// exactly, and the sign of zeros.
func (j Job) reduced(n, i int) float64 {
	wrap := func(v float64) float64 { return v }
	if j.DType == collective.TypeU8 {
		wrap = func(v float64) float64 { return float64(uint8(int(v))) }
	}
	v := wrap(float64(Value(0, i)))
	for r := 1; r < n; r++ {
		w := wrap(float64(Value(r, i)))
		switch j.Op {
		case collective.Sum, collective.Avg:
			v = wrap(v + w)
		case collective.Min:
			v = min(v, w)
		case collective.Max:
			v = max(v, w)
		case collective.Prod:
			v = wrap(v * w)
		}
	}
	if j.Op == collective.Avg {
		v /= float64(n) // of whole numbers, append cuts off the rest
	}
	return v
}

// Want is what comes out on a rank, nil where nothing does.
func (j Job) Want(n, rank int) []byte {
	var out []byte
	add := func(from, lo, hi int) {
		for i := lo; i < hi; i++ {
			out = j.append(out, float64(Value(from, i)))
		}
	}
	addReduced := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			out = j.append(out, j.reduced(n, i))
		}
	}
	s := j.starts(n)
	switch j.Call {
	case collective.CallAllReduce:
		addReduced(0, j.Count)
	case collective.CallReduce:
		if rank == j.Root {
			addReduced(0, j.Count)
		}
	case collective.CallReduceScatter, collective.CallReduceScatterV:
		addReduced(s[rank], s[rank+1])
	case collective.CallBroadcast:
		add(j.Root, 0, j.Count)
	case collective.CallAllGather, collective.CallAllGatherV, collective.CallGather, collective.CallGatherV:
		rooted := j.Call == collective.CallGather || j.Call == collective.CallGatherV
		for r := range n {
			if !rooted || rank == j.Root {
				add(r, 0, s[r+1]-s[r])
			}
		}
	case collective.CallScatter, collective.CallScatterV:
		add(j.Root, s[rank], s[rank+1])
	case collective.CallAllToAll, collective.CallAllToAllV:
		for from := range n {
			at := 0
			for to := range rank {
				at += j.length(from, to)
			}
			add(from, at, at+j.length(from, rank))
		}
	}
	return out
}
