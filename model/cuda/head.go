//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
)

// head is a language-model head: rows h, weights w, and where gradients go.
// Shapes are h and dh [rows, width], w and dw [vocab, width]; gradients that are not wanted are not
// given.
type head struct{ dh, dw, h, w operand }

// LinearCE implements backend.Device.
func (b *Device) LinearCE(loss, dh, dw, h, w, target, weight backend.Tensor) {
	defer b.done()
	g := b.head(dh, dw, h, w)
	l, t, rw := b.operand(loss), b.operand(target), b.rowWeights(dh, dw, weight)
	b.checkIndex(crossEntropyOp, t, 0, w.Rows)
	vocab := w.Rows
	b.chunks(g, false, func(r, n int, logits, _ driver.Ptr, dt backend.DType, stride int) {
		lo := operand{ptr: logits, rows: n, cols: vocab, stride: stride, dt: dt}
		b.multiply(product{c: lo, x: g.h.rowRange(r, r+n), y: g.w, transY: true, alpha: 1})
		b.begin().mat(l.rowRange(r, r+n), lo, t.rowRange(r, r+n), rw.rowRange(r, r+n)).
			ptr(b.fault.dev+faultBytes).i32(r, n, vocab)
		b.launch("cross_entropy", kernels.HeadRows(n))
		b.headBackward(g, lo, r, n)
	})
}

// LinearKL implements backend.Device.
func (b *Device) LinearKL(loss, dh, dw, h, w, ht, wt, weight backend.Tensor, p backend.KL) {
	defer b.done()
	g := b.head(dh, dw, h, w)
	teacher := b.head(backend.Tensor{}, backend.Tensor{}, ht, wt)
	l, rw := b.operand(loss), b.rowWeights(dh, dw, weight)
	vocab := w.Rows
	b.chunks(g, true, func(r, n int, logits, other driver.Ptr, dt backend.DType, stride int) {
		lo := operand{ptr: logits, rows: n, cols: vocab, stride: stride, dt: dt}
		lt := operand{ptr: other, rows: n, cols: vocab, stride: stride, dt: dt}
		b.multiply(product{c: lo, x: g.h.rowRange(r, r+n), y: g.w, transY: true, alpha: 1})
		b.multiply(product{c: lt, x: teacher.h.rowRange(r, r+n), y: teacher.w, transY: true, alpha: 1})
		b.begin().mat(l.rowRange(r, r+n), lo, lt, rw.rowRange(r, r+n)).
			f32(1/orOne(p.StudentTemp)).f32(1/orOne(p.TeacherTemp)).f32(orOne(p.Scale)).i32(n, vocab)
		b.launch("kl_divergence", kernels.HeadRows(n))
		b.headBackward(g, lo, r, n)
	})
}

// orOne is a factor of backend.KL, whose zero means 1.
func orOne(v float32) float32 {
	if v == 0 {
		return 1
	}
	return v
}

// head finds the operands of a head. Weights of another type than the rows are
// converted once, not for every chunk, where products would convert them.
func (b *Device) head(dh, dw, h, w backend.Tensor) head {
	g := head{b.operand(dh), b.operand(dw), b.operand(h), b.operand(w)}
	if b.Err() == nil && g.h.dt != g.w.dt && (b.lt != nil || b.opt.Precision == BFloat16) {
		g.w = b.converted(g.w, g.h.dt)
	}
	return g
}

// rowWeights is the weight of every row, not given when no gradient is wanted:
// the kernels then leave the logits alone.
func (b *Device) rowWeights(dh, dw, weight backend.Tensor) operand {
	if dh.IsZero() && dw.IsZero() {
		return operand{}
	}
	return b.operand(weight)
}

// chunks calls f for chunks of rows with memory for their logits, twice for a
// divergence. Logits are bf16 where both operands are, as the models that are
// run in bf16 have them.
func (b *Device) chunks(g head, divergence bool, f func(r, n int, logits, other driver.Ptr, dt backend.DType, stride int)) {
	if b.Err() != nil || g.h.rows == 0 {
		return
	}
	dt := backend.F32
	if g.h.dt == backend.BF16 && g.w.dt == backend.BF16 {
		dt = backend.BF16
	}
	per, stride := kernels.HeadChunk(b.opt.LogitBytes, g.w.rows, dt.Size(), divergence)
	per = min(per, g.h.rows)
	logits, other := b.temp(dt, per*stride), driver.Ptr(0)
	if divergence {
		other = b.temp(dt, per*stride)
	}
	for r := 0; r < g.h.rows && b.Err() == nil; r += per {
		f(r, min(per, g.h.rows-r), logits, other, dt, stride)
	}
}

// headBackward carries the gradients of a chunk of logits on.
// logits hold the gradient by now, [n, vocab], which the loss kernels write in place.
func (b *Device) headBackward(g head, logits operand, r, n int) {
	if g.dh.given() {
		b.multiply(product{c: g.dh.rowRange(r, r+n), x: logits, y: g.w, alpha: 1, beta: 1})
	}
	if g.dw.given() {
		b.multiply(product{c: g.dw, x: logits, y: g.h.rowRange(r, r+n), transX: true, alpha: 1, beta: 1})
	}
}
