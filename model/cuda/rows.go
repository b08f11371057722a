//go:build cuda && cgo && linux

package cuda

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels"
)

// GatherRows implements backend.Device.
func (b *Device) GatherRows(dst, src, idx backend.Tensor) {
	b.moveRows(gatherOp, dst, src, idx, src.Rows)
}

// ScatterRows implements backend.Device.
func (b *Device) ScatterRows(dst, src, idx backend.Tensor) {
	b.moveRows(scatterOp, dst, src, idx, dst.Rows)
}

// ScatterAddRows implements backend.Device.
func (b *Device) ScatterAddRows(dst, src, idx backend.Tensor) {
	b.moveRows(scatterAddOp, dst, src, idx, dst.Rows)
}

// Negative indices are in range here: the kernels clear or skip their rows.
func (b *Device) moveRows(kind int, dst, src, idx backend.Tensor, limit int) {
	op := indexed[kind]
	d, s, i := b.operand(dst), b.operand(src), b.operand(idx)
	b.checkIndex(kind, i, math.MinInt32, limit)
	if b.Err() != nil || i.rows == 0 || d.cols == 0 {
		return
	}
	b.begin().mat(d, s).ptr(i.ptr).i64(i.stride).i32(limit).i64(i.rows, d.cols)
	g := kernels.Elementwise(i.rows, d.cols)
	if kind == scatterAddOp {
		g = kernels.ScatterAdd(i.rows, d.cols)
	}
	b.launch(op, g)
}

// ArgMax implements backend.Device.
func (b *Device) ArgMax(dst, src backend.Tensor) {
	const op = "argmax"
	d, s := b.operand(dst), b.operand(src)
	if s.rows > 0 {
		b.begin().ptr(d.ptr).i64(d.stride).mat(s).i64(s.rows, s.cols)
		b.launch(op, kernels.PerRow(s.rows, s.cols, 256))
	}
}

// RoPE implements backend.Device.
func (b *Device) RoPE(x, cos, sin backend.Tensor, heads int, inverse bool) {
	const op = "rope"
	// The inverse rotation is the one by the negative angle: sin changes its sign.
	sign := float32(1)
	if inverse {
		sign = -1
	}
	o, c, s := b.operand(x), b.operand(cos), b.operand(sin)
	if half := c.cols; o.rows > 0 && half > 0 {
		b.begin().mat(o, c, s).i32(heads, half).f32(sign).i64(o.rows)
		b.launch(op, kernels.RoPE(o.rows, heads, half))
	}
}

// Patchify implements backend.Device.
func (b *Device) Patchify(dst, images backend.Tensor, channels, height, width, patch int) {
	const op = "patchify"
	d, s := b.operand(dst), b.operand(images)
	if d.rows > 0 {
		b.begin().mat(d, s).i32(channels, height, width, patch).i64(d.rows)
		b.launch(op, kernels.Elementwise(d.rows, d.cols))
	}
}

// Random implements backend.Device.
func (b *Device) Random(dst backend.Tensor, dist backend.Distribution, key backend.Key, sample backend.Tensor) {
	const op = "random"
	lo, hi, site := kernels.PhiloxKey(key)
	d, s := b.operand(dst), b.operand(sample)
	b.begin().mat(d).i32(int(dist)).u32(lo).u32(hi).u32(site).ptr(s.ptr).i64(s.stride)
	b.elementwise(op, d.rows, d.cols)
}

// Dropout implements backend.Device.
func (b *Device) Dropout(y, x backend.Tensor, p float32, key backend.Key, rows backend.Tensor) {
	const op = "dropout"
	lo, hi, site := kernels.PhiloxKey(key)
	d, s, ids := b.operand(y), b.operand(x), b.operand(rows)
	// What is kept is divided by its share, so that the mean stays (inverted dropout).
	b.begin().mat(d, s).f32(p).f32(1 / (1 - p)).u32(lo).u32(hi).u32(site).ptr(ids.ptr).i64(ids.stride)
	b.elementwise(op, d.rows, d.cols)
}
