//go:build cuda && cgo && linux

package cuda

import "vgid/model/backend"

// spread queues an element-wise kernel over matrices of one shape, the first
// parameters of which are these; more adds the others.
func (b *Backend) spread(op string, more func(*args), ts ...backend.Tensor) {
	var os [5]operand
	for i, t := range ts {
		os[i] = b.operand(op, t)
	}
	rows, cols := flat(os[:len(ts)]...)
	a := b.begin().mat(os[:len(ts)]...)
	if more != nil {
		more(a)
	}
	b.elementwise(op, rows, cols)
}

// Fill implements backend.Backend.
func (b *Backend) Fill(dst backend.Tensor, v float32) {
	if b.ready(backend.CheckFill(dst)) {
		b.spread("fill", func(a *args) { a.f32(v) }, dst)
	}
}

// Add implements backend.Backend.
func (b *Backend) Add(dst, x, y backend.Tensor) {
	if b.ready(backend.CheckAdd(dst, x, y)) {
		b.spread("add", nil, dst, x, y)
	}
}

// Axpy implements backend.Backend.
func (b *Backend) Axpy(y backend.Tensor, alpha float32, x backend.Tensor) {
	if !b.ready(backend.CheckAxpy(y, x)) {
		return
	}
	const op = "axpy"
	dst, src := b.operand(op, y), b.operand(op, x)
	rows, cols := flat(dst, src)
	b.begin().mat(dst).f32(alpha).mat(src)
	b.elementwise(op, rows, cols)
}

// Scale implements backend.Backend.
func (b *Backend) Scale(x backend.Tensor, alpha float32) {
	if b.ready(backend.CheckScale(x)) {
		b.spread("scale", func(a *args) { a.f32(alpha) }, x)
	}
}

// Activate implements backend.Backend.
func (b *Backend) Activate(y, x backend.Tensor, f backend.Activation) {
	if b.ready(backend.CheckActivate(y, x, f)) {
		b.spread("activate", func(a *args) { a.i32(int(f)) }, y, x)
	}
}

// ActivateBackward implements backend.Backend.
func (b *Backend) ActivateBackward(dx, dy, x backend.Tensor, f backend.Activation) {
	if b.ready(backend.CheckActivateBackward(dx, dy, x, f)) {
		b.spread("activate_backward", func(a *args) { a.i32(int(f)) }, dx, dy, x)
	}
}

// SwiGLU implements backend.Backend.
func (b *Backend) SwiGLU(y, gate, up backend.Tensor) {
	if b.ready(backend.CheckSwiGLU(y, gate, up)) {
		b.spread("swiglu", nil, y, gate, up)
	}
}

// SwiGLUBackward implements backend.Backend.
func (b *Backend) SwiGLUBackward(dgate, dup, dy, gate, up backend.Tensor) {
	if b.ready(backend.CheckSwiGLUBackward(dgate, dup, dy, gate, up)) {
		b.spread("swiglu_backward", nil, dgate, dup, dy, gate, up)
	}
}
