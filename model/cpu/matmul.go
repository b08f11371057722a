package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/simd"
)

// source returns an operand that may be bfloat16.
func (b *Backend) source(op string, t backend.Tensor) (s source) {
	s.set(b.buffer(op, t), t, false)
	return s
}

// set makes s an operand; buf is the storage of t, nil after a failure.
func (s *source) set(buf *buffer, t backend.Tensor, transposed bool) {
	s.f, s.h = nil, nil
	if buf == nil {
		return
	}
	if buf.dt == backend.BF16 {
		s.h = buf.h[min(t.Off, buf.n):]
	} else {
		s.f = buf.f[min(t.Off, buf.n):]
	}
	s.rs, s.cs = t.Stride, 1
	if t.Rows <= 1 {
		s.rs = max(1, t.Cols)
	}
	if transposed {
		s.rs, s.cs = s.cs, s.rs
	}
}

// MatMul implements backend.Backend. The operands may be bfloat16; they are
// widened as they are packed, and sums are float32.
func (b *Backend) MatMul(c, x, y backend.Tensor, p backend.MatMul) {
	const op = "matmul"
	if !b.ready(backend.CheckMatMul(c, x, y, p)) {
		return
	}
	// Field by field: a small multiplication takes no longer than the copy of a
	// whole task would.
	t := &b.tasks.gemm
	t.m, t.n, t.k = c.Rows, c.Cols, x.Cols
	if p.TransA {
		t.k = x.Rows
	}
	t.a.set(b.buffer(op, x), x, p.TransA)
	t.b.set(b.buffer(op, y), y, p.TransB)
	dst := b.mat(op, b.writable(op, c))
	t.c, t.ldc = dst.d, dst.ld
	t.alpha, t.beta, t.bias = p.Alpha, p.Beta, nil
	if !p.Bias.IsZero() {
		t.bias = b.mat(op, p.Bias).d
	}
	if b.err == nil {
		b.gemm(t)
	}
}

// sumRowsTask adds up rows: chunks of columns, so that every sum runs over the
// rows in order.
type sumRowsTask struct {
	dst []float32
	src mat
}

const sumCols = 256

// SumRows implements backend.Backend.
func (b *Backend) SumRows(dst, src backend.Tensor) {
	if !b.ready(backend.CheckSumRows(dst, src)) {
		return
	}
	t := &b.tasks.sums
	t.src, t.dst = b.mat("sum_rows", src), b.mat("sum_rows", dst).d
	if b.err != nil {
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
