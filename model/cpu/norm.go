package cpu

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// normTask is RMSNorm, or LayerNorm when b is given.
type normTask struct {
	y, stats, x, w, b mat
	eps               float32
	step              int
}

// RMSNorm implements backend.Device.
func (b *Device) RMSNorm(y, rstd, x, w backend.Tensor, eps float32) {
	const op = "rms_norm"
	t := &b.tasks.norm
	*t = normTask{
		y:     b.mat(op, y),
		stats: b.mat(op, rstd),
		x:     b.mat(op, x),
		w:     b.mat(op, w),
		eps:   eps,
		step:  rowStep(x.Cols),
	}
	if b.Err() == nil {
		b.pool.run(pieces(x.Rows, t.step), t)
	}
}

// LayerNorm implements backend.Device.
func (b *Device) LayerNorm(y, stats, x, w, bias backend.Tensor, eps float32) {
	const op = "layer_norm"
	t := &b.tasks.norm
	*t = normTask{
		y:     b.mat(op, y),
		stats: b.mat(op, stats),
		x:     b.mat(op, x),
		w:     b.mat(op, w),
		b:     b.mat(op, bias),
		eps:   eps,
		step:  rowStep(x.Cols),
	}
	if b.Err() == nil {
		b.pool.run(pieces(x.Rows, t.step), t)
	}
}

// LayerNorm takes two passes, the mean first: E[x²]-E[x]² in one pass has no digits left far
// from zero.
func (t *normTask) do(chunk int, _ *scratch) {
	n := float32(t.x.cols)
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.x.rows); i++ {
		x, y := t.x.row(i), t.y.row(i)
		mean := float32(0)
		if t.b.given() {
			mean = simd.Sum(x) / n
		}
		rstd := float32(1 / math.Sqrt(float64(simd.Squares(x, mean)/n)+float64(t.eps)))
		simd.NormScale(y, x, t.w.d, mean, rstd)
		if !t.b.given() {
			t.stats.row(i)[0] = rstd
			continue
		}
		simd.Add(y, y, t.b.d)
		s := t.stats.row(i)
		s[0], s[1] = mean, rstd
	}
}

// normBackTask is the gradient of both. Weight gradients are summed per chunk
// into part, then over the chunks in order.
type normBackTask struct {
	dx, dw, db, dy, x, w, stats mat
	layer                       bool
	step                        int
	part                        []float32
}

// RMSNormBackward implements backend.Device.
func (b *Device) RMSNormBackward(dx, dw, dy, x, w, rstd backend.Tensor) {
	const op = "rms_norm_backward"
	t := &b.tasks.normBack
	*t = normBackTask{
		dx:    b.mat(op, dx),
		dw:    b.mat(op, dw),
		dy:    b.mat(op, dy),
		x:     b.mat(op, x),
		w:     b.mat(op, w),
		stats: b.mat(op, rstd),
	}
	b.normBackward(t)
}

// LayerNormBackward implements backend.Device.
func (b *Device) LayerNormBackward(dx, dw, db, dy, x, w, stats backend.Tensor) {
	const op = "layer_norm_backward"
	t := &b.tasks.normBack
	*t = normBackTask{
		dx:    b.mat(op, dx),
		dw:    b.mat(op, dw),
		db:    b.mat(op, db),
		dy:    b.mat(op, dy),
		x:     b.mat(op, x),
		w:     b.mat(op, w),
		stats: b.mat(op, stats),
		layer: true,
	}
	b.normBackward(t)
}

// The cut depends on the shape alone, so the order of the partial sums does, too.
func (b *Device) normBackward(t *normBackTask) {
	if b.Err() != nil {
		return
	}
	n := t.x.cols
	// Chunks grow with the matrix so that the partial sums stay few.
	t.step = max(rowStep(n), pieces(t.x.rows, 64))
	chunks := pieces(t.x.rows, t.step)
	b.shared.reset()
	t.part = b.shared.floats(2 * n * chunks)
	b.pool.run(chunks, t)
	for i := range chunks {
		p := t.part[2*n*i:]
		if t.dw.given() {
			simd.Add(t.dw.d[:n], t.dw.d, p[:n])
		}
		if t.db.given() {
			simd.Add(t.db.d[:n], t.db.d, p[n:2*n])
		}
	}
}

func (t *normBackTask) do(chunk int, _ *scratch) {
	n := t.x.cols
	dw, db := t.part[2*n*chunk:][:n], t.part[2*n*chunk+n:][:n]
	clear(dw)
	clear(db)
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.x.rows); i++ {
		x, dy := t.x.row(i), t.dy.row(i)
		stats := t.stats.row(i)
		mean, rstd, c := float32(0), stats[0], float32(0)
		if t.layer {
			mean, rstd = stats[0], stats[1]
			c = -rstd * simd.Dot(dy, t.w.d) / float32(n)
		}
		k := -rstd * rstd * rstd * simd.Dot3(dy, t.w.d, x, mean) / float32(n)
		simd.NormBackward(t.dx.row(i), dy, t.w.d, x, rstd, k, mean, c)
		if t.dw.given() {
			simd.NormWeight(dw, dy, x, mean, rstd)
		}
		if t.db.given() {
			simd.Add(db, db, dy)
		}
	}
}
