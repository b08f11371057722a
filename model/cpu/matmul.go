package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// sourceOf returns an operand that may be bfloat16.
func sourceOf(t backend.Tensor) (s source) {
	s.set(t, false)
	return s
}

// set makes s an operand.
func (s *source) set(t backend.Tensor, transposed bool) {
	s.f, s.h = nil, nil
	buf := t.Buf.(*buffer)
	if at := min(t.Off, buf.Len()); buf.DType() == backend.BF16 {
		s.h = buf.h[at:]
	} else {
		s.f = buf.f[at:]
	}
	s.rs, s.cs = t.Stride, 1
	if t.Rows <= 1 {
		s.rs = max(1, t.Cols)
	}
	if transposed {
		s.rs, s.cs = s.cs, s.rs
	}
}

// MatMul implements backend.Device. The operands may be bfloat16; they are
// widened as they are packed, and sums are float32.
func (b *Device) MatMul(c, x, y backend.Tensor, p backend.MatMul) {
	const op = "matmul"
	// Field by field: a small multiplication takes no longer than the copy of a
	// whole task would.
	t := &b.tasks.gemm
	t.m, t.n, t.k = c.Rows, c.Cols, x.Cols
	if p.TransA {
		t.k = x.Rows
	}
	t.a.set(x, p.TransA)
	t.b.set(y, p.TransB)
	dst := b.mat(op, c)
	t.c, t.ldc = dst.d, dst.ld
	t.alpha, t.beta, t.bias = p.Alpha, p.Beta, nil
	if !p.Bias.IsZero() {
		t.bias = b.mat(op, p.Bias).d
	}
	if b.Err() == nil {
		b.shared.reset() // once an operation: gemm takes from it, and so may its caller
		b.gemm(t)
	}
}

// sumRowsTask adds up rows: chunks of columns, so that every sum runs over the
// rows in order.
// Columns are independent of each other, so cutting there does not change a sum.
type sumRowsTask struct {
	dst []float32
	src mat
}

const sumCols = 256

// SumRows implements backend.Device.
func (b *Device) SumRows(dst, src backend.Tensor) {
	t := &b.tasks.sums
	t.src, t.dst = b.mat("sum_rows", src), b.mat("sum_rows", dst).d
	if b.Err() != nil {
		return
	}
	b.pool.run(pieces(src.Cols, sumCols), t)
}

func (t *sumRowsTask) do(chunk int, s *scratch) {
	from := chunk * sumCols
	to := min(from+sumCols, t.src.cols)
	// Pairwise over groups of rows keeps the error of long sums small.
	const group = 64
	part := s.floats(to - from)
	for i := 0; i < t.src.rows; i += group {
		clear(part)
		for r := i; r < min(i+group, t.src.rows); r++ {
			simd.Add(part, part, t.src.row(r)[from:to])
		}
		d := t.dst[from:to]
		simd.Add(d, d, part)
	}
}
