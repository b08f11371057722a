package backend

import "fmt"

// Tensor is a row-major [Rows, Cols] view of a buffer: element (r, c) is at
// Off + r·Stride + c. It is a small value; copying it copies no data. The zero
// Tensor means "not given".
type Tensor struct {
	Buf                     Buffer
	Off, Rows, Cols, Stride int
}

// View makes a dense tensor over a buffer, starting at element off.
func View(b Buffer, off, rows, cols int) Tensor {
	return Tensor{Buf: b, Off: off, Rows: rows, Cols: cols, Stride: cols}
}

// IsZero reports whether the tensor is the "not given" value.
func (t Tensor) IsZero() bool { return t.Buf == nil }

// Len is the number of elements of the view.
func (t Tensor) Len() int { return t.Rows * t.Cols }

// Dense reports whether rows follow each other without gaps.
func (t Tensor) Dense() bool { return t.Stride == t.Cols || t.Rows <= 1 }

// RowRange is the view of rows [from, to).
func (t Tensor) RowRange(from, to int) Tensor {
	t.Off += from * t.Stride
	t.Rows = to - from
	return t
}

// ColRange is the view of columns [from, to).
func (t Tensor) ColRange(from, to int) Tensor {
	t.Off += from
	t.Cols = to - from
	return t
}

// Reshape views a dense tensor with another shape of the same length. It
// panics when that is impossible: a shape is the programmer's, never a user's.
func (t Tensor) Reshape(rows, cols int) Tensor {
	if !t.Dense() || rows*cols != t.Len() {
		panic(fmt.Sprintf("backend: cannot view %v as [%d, %d]", t, rows, cols))
	}
	t.Rows, t.Cols, t.Stride = rows, cols, cols
	return t
}

func (t Tensor) String() string {
	if t.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%v[%d, %d]", t.Buf.DType(), t.Rows, t.Cols)
}

// Seqs says which rows of a packed matrix form each sequence: sequence i owns
// rows Start[i] … Start[i]+Len[i]-1. The host copies drive the CPU and the
// launch geometry of a GPU; Dev [N, 2] I32 (start, length) is the device's own.
type Seqs struct {
	Start, Len []int32
	Dev        Tensor
}

// N is the number of sequences.
func (s Seqs) N() int { return len(s.Start) }

// MaxLen is the length of the longest sequence.
func (s Seqs) MaxLen() int {
	m := int32(0)
	for _, n := range s.Len {
		m = max(m, n)
	}
	return int(m)
}
