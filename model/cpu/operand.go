package cpu

import (
	"fmt"

	"vgid/model/backend"
)

// mat is an f32 operand: row i starts at d[i·ld].
type mat struct {
	d              []float32
	rows, cols, ld int
}

func (m mat) row(i int) []float32 {
	o := i * m.ld
	return m.d[o : o+m.cols : o+m.cols]
}

// stretch is n elements from o on, nil of a missing operand.
func (m mat) stretch(o, n int) []float32 {
	if m.d == nil {
		return nil
	}
	return m.d[o : o+n : o+n]
}

// given tells an optional operand from the zero mat.
func (m mat) given() bool { return m.d != nil }

// ints is an i32 operand.
type ints struct {
	d              []int32
	rows, cols, ld int
}

func (m ints) at(i int) int32 { return m.d[i*m.ld] }

// mat returns an operand of an operation that takes f32 only; the zero mat
// when it is not given. A view may begin at the end of its buffer when it is
// empty, hence the min.
func (b *Device) mat(op string, t backend.Tensor) mat {
	if t.IsZero() {
		return mat{}
	}
	buf := t.Buf.(*buffer)
	if buf.DType() != backend.F32 {
		b.Fail(fmt.Errorf("%s: the CPU backend computes on f32, not on %v", op, t))
		return mat{}
	}
	m := mat{d: buf.f[min(t.Off, len(buf.f)):], rows: t.Rows, cols: t.Cols, ld: t.Stride}
	if t.Rows <= 1 {
		m.ld = t.Cols
	}
	return m
}

// intsOf returns an operand that has been checked to be I32.
func intsOf(t backend.Tensor) ints {
	buf := t.Buf.(*buffer)
	return ints{d: buf.i[min(t.Off, len(buf.i)):], rows: t.Rows, cols: t.Cols, ld: t.Stride}
}

// indices is intsOf for a column of row numbers that must be below limit.
func (b *Device) indices(op string, t backend.Tensor, limit int) ints {
	m := intsOf(t)
	for i := 0; i < m.rows && b.Err() == nil; i++ {
		b.Fail(backend.CheckIndex(op, i, int(m.at(i)), limit))
	}
	return m
}
