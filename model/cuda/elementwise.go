//go:build cuda && cgo && linux

package cuda

import "vgid/model/backend"

// spread queues an element-wise kernel over matrices of one shape, the first
// parameters of which are these; more adds the others.
func (b *Device) spread(op string, more func(*args), ts ...backend.Tensor) {
	var os [5]operand
	for i, t := range ts {
		os[i] = b.operand(t)
	}
	rows, cols := flat(os[:len(ts)]...)
	a := b.begin().mat(os[:len(ts)]...)
	if more != nil {
		more(a)
	}
	b.elementwise(op, rows, cols)
}

// Fill implements backend.Device.
func (b *Device) Fill(dst backend.Tensor, v float32) {
	b.spread("fill", func(a *args) { a.f32(v) }, dst)
}

// Add implements backend.Device.
func (b *Device) Add(dst, x, y backend.Tensor) {
	b.spread("add", nil, dst, x, y)
}

// Axpy implements backend.Device.
// Its parameters stand in another order, so spread does not fit.
func (b *Device) Axpy(y backend.Tensor, alpha float32, x backend.Tensor) {
	const op = "axpy"
	dst, src := b.operand(y), b.operand(x)
	rows, cols := flat(dst, src)
	b.begin().mat(dst).f32(alpha).mat(src)
	b.elementwise(op, rows, cols)
}

// Scale implements backend.Device.
func (b *Device) Scale(x backend.Tensor, alpha float32) {
	b.spread("scale", func(a *args) { a.f32(alpha) }, x)
}

// Activate implements backend.Device.
func (b *Device) Activate(y, x backend.Tensor, f backend.Activation) {
	b.spread("activate", func(a *args) { a.i32(int(f)) }, y, x)
}

// ActivateBackward implements backend.Device.
func (b *Device) ActivateBackward(dx, dy, x backend.Tensor, f backend.Activation) {
	b.spread("activate_backward", func(a *args) { a.i32(int(f)) }, dx, dy, x)
}

// SwiGLU implements backend.Device.
func (b *Device) SwiGLU(y, gate, up backend.Tensor) {
	b.spread("swiglu", nil, y, gate, up)
}

// SwiGLUBackward implements backend.Device.
func (b *Device) SwiGLUBackward(dgate, dup, dy, gate, up backend.Tensor) {
	b.spread("swiglu_backward", nil, dgate, dup, dy, gate, up)
}
