//go:build cuda && cgo && linux

package cuda

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels"
)

// SumSquares implements backend.Device.
func (b *Device) SumSquares(dst, x backend.Tensor) {
	defer b.done()
	d, s := b.operand(dst), b.operand(x)
	if b.Err() != nil || x.Len() == 0 {
		return
	}
	rows, cols := flat(s)
	g, parts := kernels.SumSquares(rows, cols)
	// Squares are summed in float64: those of a large model's gradients would lose the small ones.
	part := b.temp(backend.F32, 2*parts) // of 8 bytes each
	b.begin().ptr(part).mat(s).i64(rows, cols)
	b.launch("sum_squares_parts", g)
	b.begin().mat(d).ptr(part).i64(parts)
	b.launch("sum_squares_finish", kernels.Single(256))
}

// AdamW implements backend.Device.
func (b *Device) AdamW(p, g, m, v, normSq backend.Tensor, h backend.AdamW) {
	const op = "adamw"
	x, grad, first, second := b.operand(p), b.operand(g), b.operand(m), b.operand(v)
	norm := b.operand(normSq)
	if h.ClipNorm <= 0 {
		norm = operand{}
	}
	// What is the same for all elements is computed once, in float64, as PyTorch does on the host.
	rate := float64(h.LR) / (1 - math.Pow(float64(h.Beta1), float64(h.Step)))
	root := 1 / math.Sqrt(1-math.Pow(float64(h.Beta2), float64(h.Step)))
	decay := 1 - float64(h.LR)*float64(h.WeightDecay)
	b.begin().mat(x, grad, first, second, norm).f32(h.ClipNorm).f32(h.Beta1).f32(h.Beta2).
		f32(float32(rate)).f32(float32(root)).f32(h.Eps).f32(float32(decay))
	rows, cols := flat(x, grad, first, second)
	b.elementwise(op, rows, cols)
}
