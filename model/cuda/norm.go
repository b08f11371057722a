//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels"
)

// normThreads is the largest block of the norm kernels.
const normThreads = 512

// RMSNorm implements backend.Device.
func (b *Device) RMSNorm(y, rstd, x, w backend.Tensor, eps float32) {
	const op = "rms_norm"
	b.begin().mat(b.operand(y), b.operand(rstd), b.operand(x), b.operand(w)).f32(eps)
	b.perRow(op, x.Rows, x.Cols)
}

// LayerNorm implements backend.Device.
func (b *Device) LayerNorm(y, stats, x, w, bias backend.Tensor, eps float32) {
	const op = "layer_norm"
	b.begin().mat(b.operand(y), b.operand(stats), b.operand(x), b.operand(w), b.operand(bias)).f32(eps)
	b.perRow(op, x.Rows, x.Cols)
}

// perRow queues a kernel of a block a row, whose last parameters are rows and
// columns.
func (b *Device) perRow(op string, rows, cols int) {
	if b.Err() == nil && rows > 0 && cols > 0 {
		b.args.i64(rows, cols)
		b.launch(op, kernels.PerRow(rows, cols, normThreads))
	}
}

// RMSNormBackward implements backend.Device.
func (b *Device) RMSNormBackward(dx, dw, dy, x, w, rstd backend.Tensor) {
	b.normBackward("rms_norm_backward", dx, dw, backend.Tensor{}, dy, x, w, rstd, 0)
}

// LayerNormBackward implements backend.Device.
func (b *Device) LayerNormBackward(dx, dw, db, dy, x, w, stats backend.Tensor) {
	b.normBackward("layer_norm_backward", dx, dw, db, dy, x, w, stats, 1)
}

// layer is 1 for layer norm, whose stats are [rows, 2], and 0 for RMS norm with [rows, 1]; db is
// given for the first alone.
func (b *Device) normBackward(op string, dx, dw, db, dy, x, w, stats backend.Tensor, layer int) {
	defer b.done()
	in, grad, st := b.operand(x), b.operand(dy), b.operand(stats)
	weight, bias := b.operand(dw), b.operand(db)
	b.begin().mat(b.operand(dx), grad, in, b.operand(w), st)
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

// SumRows implements backend.Device.
func (b *Device) SumRows(dst, src backend.Tensor) {
	defer b.done()
	b.sumRows(b.operand(dst), b.operand(src))
}

func (b *Device) sumRows(dst, src operand) {
	b.sumParts(dst, src.rows, func(g kernels.Geometry, part uint64, per int) {
		b.begin().cell(part).mat(src).i64(per, src.rows, src.cols)
		b.launch("sum_rows_parts", g)
	})
}

// sumParts adds to dst [1, n] the sums over parts of the rows that first leaves
// in scratch memory.
// How rows are parted depends on the shape alone, so that sums have the same order on every card.
func (b *Device) sumParts(dst operand, rows int, first func(g kernels.Geometry, part uint64, per int)) {
	if b.Err() != nil || rows == 0 || dst.cols == 0 {
		return
	}
	g, parts, per := kernels.Parts(rows, dst.cols)
	part := b.temp(backend.F32, parts*dst.cols)
	if b.Err() != nil {
		return
	}
	first(g, uint64(part), per)
	b.begin().mat(dst).ptr(part).i64(parts, dst.cols)
	b.launch("sum_parts", kernels.Columns(dst.cols))
}
