package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// chunkWork is how many elements a chunk of an element-wise operation covers.
// 64 KiB an operand: long enough that handing out a chunk costs next to nothing beside it.
const chunkWork = 16 << 10

// A span kernel works on equal stretches of its operands, unused ones nil.
// They are package functions and not closures, which would allocate at every call.
type spanKernel func(t *spanTask, a, b, c, d, e []float32)

// spanTask applies a span kernel to matrices of one shape: to stretches of the
// whole when all are dense, else row by row.
type spanTask struct {
	f          spanKernel
	x          [5]mat
	rows, cols int
	step       int // elements of a chunk when dense, else rows
	dense      bool
	alpha      float32
	act        backend.Activation
	adamw      adamwScalars
}

func (t *spanTask) do(chunk int, _ *scratch) {
	if t.dense {
		n := t.rows * t.cols
		t.span(chunk*t.step, min((chunk+1)*t.step, n)-chunk*t.step)
		return
	}
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.rows); i++ {
		x := &t.x
		t.f(t, x[0].stretch(i*x[0].ld, t.cols), x[1].stretch(i*x[1].ld, t.cols), x[2].stretch(i*x[2].ld, t.cols),
			x[3].stretch(i*x[3].ld, t.cols), x[4].stretch(i*x[4].ld, t.cols))
	}
}

// span works on n elements from o on of dense operands.
func (t *spanTask) span(o, n int) {
	x := &t.x
	t.f(t, x[0].stretch(o, n), x[1].stretch(o, n), x[2].stretch(o, n), x[3].stretch(o, n), x[4].stretch(o, n))
}

// rowStep is how many rows of cols elements make a chunk.
func rowStep(cols int) int { return max(1, chunkWork/max(1, cols)) }

// spans runs a span kernel over operands of one shape.
// Scalars of the operation (alpha, act, adamw) are set in b.tasks.spans by its caller before.
func (b *Device) spans(op string, f spanKernel, operands ...backend.Tensor) {
	t := &b.tasks.spans
	t.x = [5]mat{}
	t.f, t.rows, t.cols, t.dense = f, operands[0].Rows, operands[0].Cols, true
	for i, o := range operands {
		t.x[i] = b.mat(op, o)
		t.dense = t.dense && t.x[i].ld == t.cols
	}
	if b.Err() != nil {
		return
	}
	if t.dense {
		t.step = chunkWork
		b.pool.run(pieces(t.rows*t.cols, t.step), t)
		return
	}
	t.step = rowStep(t.cols)
	b.pool.run(pieces(t.rows, t.step), t)
}

// Fill implements backend.Device.
func (b *Device) Fill(dst backend.Tensor, v float32) {
	if dst.Buf.DType() != backend.F32 {
		b.fillOther(dst, v)
		return
	}
	b.tasks.spans.alpha = v
	b.spans("fill", fillSpan, dst)
}

func fillSpan(t *spanTask, dst, _, _, _, _ []float32) { simd.Fill(dst, t.alpha) }

// fillOther fills bfloat16 and integers, which only set-up code does.
func (b *Device) fillOther(dst backend.Tensor, v float32) {
	buf := dst.Buf.(*buffer)
	h, f := [1]uint16{}, [1]float32{v}
	simd.ToBF16(h[:], f[:])
	for i := range dst.Rows {
		o := dst.Off + i*dst.Stride
		for j := o; j < o+dst.Cols; j++ {
			if buf.DType() == backend.BF16 {
				buf.h[j] = h[0]
			} else {
				buf.i[j] = int32(v)
			}
		}
	}
}

// Add implements backend.Device.
func (b *Device) Add(dst, x, y backend.Tensor) {
	b.spans("add", addSpan, dst, x, y)
}

func addSpan(_ *spanTask, dst, x, y, _, _ []float32) { simd.Add(dst, x, y) }

// Axpy implements backend.Device.
func (b *Device) Axpy(y backend.Tensor, alpha float32, x backend.Tensor) {
	b.tasks.spans.alpha = alpha
	b.spans("axpy", axpySpan, y, x)
}

func axpySpan(t *spanTask, y, x, _, _, _ []float32) { simd.Axpy(y, t.alpha, x) }

// Scale implements backend.Device.
func (b *Device) Scale(x backend.Tensor, alpha float32) {
	b.tasks.spans.alpha = alpha
	b.spans("scale", scaleSpan, x)
}

func scaleSpan(t *spanTask, x, _, _, _, _ []float32) { simd.Scale(x, t.alpha, x) }

// Activate implements backend.Device.
func (b *Device) Activate(y, x backend.Tensor, f backend.Activation) {
	b.tasks.spans.act = f
	b.spans("activate", activateSpan, y, x)
}

func activateSpan(t *spanTask, y, x, _, _, _ []float32) {
	switch t.act {
	case backend.GELU:
		simd.GELU(y, x)
	case backend.GELUTanh:
		simd.GELUTanh(y, x)
	case backend.QuickGELU:
		simd.QuickGELU(y, x)
	case backend.SiLU:
		simd.SiLU(y, x)
	}
}

// ActivateBackward implements backend.Device.
func (b *Device) ActivateBackward(dx, dy, x backend.Tensor, f backend.Activation) {
	b.tasks.spans.act = f
	b.spans("activate_backward", activateBackwardSpan, dx, dy, x)
}

func activateBackwardSpan(t *spanTask, dx, dy, x, _, _ []float32) {
	switch t.act {
	case backend.GELU:
		simd.GELUBackward(dx, dy, x)
	case backend.GELUTanh:
		simd.GELUTanhBackward(dx, dy, x)
	case backend.QuickGELU:
		simd.QuickGELUBackward(dx, dy, x)
	case backend.SiLU:
		simd.SiLUBackward(dx, dy, x)
	}
}

// SwiGLU implements backend.Device.
func (b *Device) SwiGLU(y, gate, up backend.Tensor) {
	b.spans("swiglu", swigluSpan, y, gate, up)
}

func swigluSpan(_ *spanTask, y, gate, up, _, _ []float32) { simd.SwiGLU(y, gate, up) }

// SwiGLUBackward implements backend.Device.
func (b *Device) SwiGLUBackward(dgate, dup, dy, gate, up backend.Tensor) {
	b.spans("swiglu_backward", swigluBackwardSpan,
		dgate, dup, dy, gate, up)
}

func swigluBackwardSpan(_ *spanTask, dgate, dup, dy, gate, up []float32) {
	simd.SwiGLUBackward(dgate, dup, dy, gate, up)
}
