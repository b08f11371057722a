//go:build cuda && cgo && linux

package cuda

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cuda/kernels"
)

// GatherRows implements backend.Backend.
func (b *Backend) GatherRows(dst, src, idx backend.Tensor) {
	if b.ready(backend.CheckGatherRows(dst, src, idx)) {
		b.moveRows(gatherOp, dst, src, idx, src.Rows)
	}
}

// ScatterRows implements backend.Backend.
func (b *Backend) ScatterRows(dst, src, idx backend.Tensor) {
	if b.ready(backend.CheckScatterRows(dst, src, idx)) {
		b.moveRows(scatterOp, dst, src, idx, dst.Rows)
	}
}

// ScatterAddRows implements backend.Backend.
func (b *Backend) ScatterAddRows(dst, src, idx backend.Tensor) {
	if b.ready(backend.CheckScatterAddRows(dst, src, idx)) {
		b.moveRows(scatterAddOp, dst, src, idx, dst.Rows)
	}
}

func (b *Backend) moveRows(kind int, dst, src, idx backend.Tensor, limit int) {
	op := indexed[kind]
	d, s, i := b.operand(op, dst), b.operand(op, src), b.operand(op, idx)
	b.checkIndex(kind, i, math.MinInt32, limit)
	if b.err != nil || i.rows == 0 || d.cols == 0 {
		return
	}
	b.begin().mat(d, s).ptr(i.ptr).i64(i.stride).i32(limit).i64(i.rows, d.cols)
	g := kernels.Elementwise(i.rows, d.cols)
	if kind == scatterAddOp {
		g = kernels.ScatterAdd(i.rows, d.cols)
	}
	b.launch(op, g)
}

// ArgMax implements backend.Backend.
func (b *Backend) ArgMax(dst, src backend.Tensor) {
	const op = "argmax"
	if !b.ready(backend.CheckArgMax(dst, src)) {
		return
	}
	d, s := b.operand(op, dst), b.operand(op, src)
	if s.rows > 0 {
		b.begin().ptr(d.ptr).i64(d.stride).mat(s).i64(s.rows, s.cols)
		b.launch(op, kernels.PerRow(s.rows, s.cols, 256))
	}
}

// RoPE implements backend.Backend.
func (b *Backend) RoPE(x, cos, sin backend.Tensor, heads int, inverse bool) {
	const op = "rope"
	if !b.ready(backend.CheckRoPE(x, cos, sin, heads)) {
		return
	}
	sign := float32(1)
	if inverse {
		sign = -1
	}
	o, c, s := b.operand(op, x), b.operand(op, cos), b.operand(op, sin)
	if half := c.cols; o.rows > 0 && half > 0 {
		b.begin().mat(o, c, s).i32(heads, half).f32(sign).i64(o.rows)
		b.launch(op, kernels.RoPE(o.rows, heads, half))
	}
}

// Patchify implements backend.Backend.
func (b *Backend) Patchify(dst, images backend.Tensor, channels, height, width, patch int) {
	const op = "patchify"
	if !b.ready(backend.CheckPatchify(dst, images, channels, height, width, patch)) {
		return
	}
	d, s := b.operand(op, dst), b.operand(op, images)
	if d.rows > 0 {
		b.begin().mat(d, s).i32(channels, height, width, patch).i64(d.rows)
		b.launch(op, kernels.Elementwise(d.rows, d.cols))
	}
}

// Random implements backend.Backend.
func (b *Backend) Random(dst backend.Tensor, dist backend.Distribution, key backend.Key, sample backend.Tensor) {
	const op = "random"
	if !b.ready(backend.CheckRandom(dst, dist, sample)) {
		return
	}
	lo, hi, site := kernels.PhiloxKey(key)
	d, s := b.operand(op, dst), b.operand(op, sample)
	b.begin().mat(d).i32(int(dist)).u32(lo).u32(hi).u32(site).ptr(s.ptr).i64(s.stride)
	b.elementwise(op, d.rows, d.cols)
}

// Dropout implements backend.Backend.
func (b *Backend) Dropout(y, x backend.Tensor, p float32, key backend.Key, rows backend.Tensor) {
	const op = "dropout"
	if !b.ready(backend.CheckDropout(y, x, p, rows)) {
		return
	}
	lo, hi, site := kernels.PhiloxKey(key)
	d, s, ids := b.operand(op, y), b.operand(op, x), b.operand(op, rows)
	b.begin().mat(d, s).f32(p).f32(1 / (1 - p)).u32(lo).u32(hi).u32(site).ptr(ids.ptr).i64(ids.stride)
	b.elementwise(op, d.rows, d.cols)
}
