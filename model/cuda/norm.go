//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/kernels"
)

// normThreads is the largest block of the norm kernels.
const normThreads = 512

// RMSNorm implements backend.Backend.
func (b *Backend) RMSNorm(y, rstd, x, w backend.Tensor, eps float32) {
	const op = "rms_norm"
	if !b.ready(backend.CheckRMSNorm(y, rstd, x, w)) {
		return
	}
	b.begin().mat(b.operand(op, y), b.operand(op, rstd), b.operand(op, x), b.operand(op, w)).f32(eps)
	b.perRow(op, x.Rows, x.Cols)
}

// LayerNorm implements backend.Backend.
func (b *Backend) LayerNorm(y, stats, x, w, bias backend.Tensor, eps float32) {
	const op = "layer_norm"
	if !b.ready(backend.CheckLayerNorm(y, stats, x, w, bias)) {
		return
	}
	b.begin().mat(b.operand(op, y), b.operand(op, stats), b.operand(op, x), b.operand(op, w), b.operand(op, bias)).f32(eps)
	b.perRow(op, x.Rows, x.Cols)
}

// perRow queues a kernel of a block a row, whose last parameters are rows and
// columns.
func (b *Backend) perRow(op string, rows, cols int) {
	if b.err == nil && rows > 0 && cols > 0 {
		b.args.i64(rows, cols)
		b.launch(op, kernels.PerRow(rows, cols, normThreads))
	}
}

// RMSNormBackward implements backend.Backend.
func (b *Backend) RMSNormBackward(dx, dw, dy, x, w, rstd backend.Tensor) {
	if b.ready(backend.CheckRMSNormBackward(dx, dw, dy, x, w, rstd)) {
		b.normBackward("rms_norm_backward", dx, dw, backend.Tensor{}, dy, x, w, rstd, 0)
	}
}

// LayerNormBackward implements backend.Backend.
func (b *Backend) LayerNormBackward(dx, dw, db, dy, x, w, stats backend.Tensor) {
	if b.ready(backend.CheckLayerNormBackward(dx, dw, db, dy, x, w, stats)) {
		b.normBackward("layer_norm_backward", dx, dw, db, dy, x, w, stats, 1)
	}
}

func (b *Backend) normBackward(op string, dx, dw, db, dy, x, w, stats backend.Tensor, layer int) {
	defer b.done()
	in, grad, st := b.operand(op, x), b.operand(op, dy), b.operand(op, stats)
	weight, bias := b.operand(op, dw), b.operand(op, db)
	b.begin().mat(b.operand(op, dx), grad, in, b.operand(op, w), st)
	b.perRow(op, in.rows, in.cols)
	if weight.given() {
		b.sumParts(weight, in.rows, func(g kernels.Geometry, part uint64, per int) {
			b.begin().cell(part).mat(grad, in, st).i32(layer).i64(per, in.rows, in.cols)
			b.launch("norm_weight_parts", g)
		})
	}
	if bias.given() {
		b.sumRows(bias, grad)
	}
}

// SumRows implements backend.Backend.
func (b *Backend) SumRows(dst, src backend.Tensor) {
	if b.ready(backend.CheckSumRows(dst, src)) {
		defer b.done()
		b.sumRows(b.operand("sum_rows", dst), b.operand("sum_rows", src))
	}
}

func (b *Backend) sumRows(dst, src operand) {
	b.sumParts(dst, src.rows, func(g kernels.Geometry, part uint64, per int) {
		b.begin().cell(part).mat(src).i64(per, src.rows, src.cols)
		b.launch("sum_rows_parts", g)
	})
}

// sumParts adds to dst [1, n] the sums over parts of the rows that first leaves
// in scratch memory.
func (b *Backend) sumParts(dst operand, rows int, first func(g kernels.Geometry, part uint64, per int)) {
	if b.err != nil || rows == 0 || dst.cols == 0 {
		return
	}
	g, parts, per := kernels.Parts(rows, dst.cols)
	part := b.temp(backend.F32, parts*dst.cols)
	if b.err != nil {
		return
	}
	first(g, uint64(part), per)
	b.begin().mat(dst).ptr(part).i64(parts, dst.cols)
	b.launch("sum_parts", kernels.Columns(dst.cols))
}
