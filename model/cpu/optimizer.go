package cpu

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// squaresTask sums the squares of one stretch of a matrix per chunk, in double
// precision: it is the gradient norm, over more elements than float32 has digits.
type squaresTask struct {
	x    mat
	step int // rows
	part []float64
}

// SumSquares implements backend.Device.
func (b *Device) SumSquares(dst, x backend.Tensor) {
	const op = "sum_squares"
	t := &b.tasks.squares
	d := b.mat(op, dst)
	t.x = b.mat(op, x)
	if b.Err() != nil || x.Len() == 0 {
		return
	}
	if t.x.ld == t.x.cols { // as one row, cut into equal stretches
		t.x.rows, t.x.cols = 1, t.x.rows*t.x.cols
	}
	perRow := pieces(t.x.cols, chunkWork)
	n := t.x.rows * perRow
	if cap(t.part) < n {
		t.part = make([]float64, n+n/4)
	}
	t.step, t.part = perRow, t.part[:n]
	b.pool.run(n, t)
	sum := 0.0
	for _, v := range t.part {
		sum += v
	}
	d.d[0] += float32(sum)
}

func (t *squaresTask) do(chunk int, _ *scratch) {
	row := t.x.d[chunk/t.step*t.x.ld:][:t.x.cols]
	from := chunk % t.step * chunkWork
	t.part[chunk] = simd.Squares64(row[from:min(from+chunkWork, len(row))])
}

// AdamW implements backend.Device.
//
// The scalars are computed in double precision, once a step: 1-β2^t of the first steps would
// lose digits in float32. A norm of 0 gives a clip of 1, by way of an infinite quotient.
func (b *Device) AdamW(p, g, m, v, normSq backend.Tensor, h backend.AdamW) {
	const op = "adamw"
	clip := 1.0
	norm := b.mat(op, normSq)
	if norm.given() && h.ClipNorm > 0 && b.Err() == nil {
		clip = math.Min(1, float64(h.ClipNorm)/math.Sqrt(float64(norm.d[0])))
	}
	lr := float64(h.LR)
	b.tasks.spans.adamw = adamwScalars{
		clip: float32(clip), beta1: h.Beta1, beta2: h.Beta2, eps: h.Eps,
		rate:  float32(lr / (1 - math.Pow(float64(h.Beta1), float64(h.Step)))),
		root:  float32(1 / math.Sqrt(1-math.Pow(float64(h.Beta2), float64(h.Step)))),
		decay: float32(1 - lr*float64(h.WeightDecay)),
	}
	b.spans(op, adamwSpan, p, g, m, v)
}

// adamwScalars are the coefficients of simd.AdamW.
type adamwScalars struct{ clip, beta1, beta2, rate, root, eps, decay float32 }

func adamwSpan(t *spanTask, p, g, m, v, _ []float32) {
	h := &t.adamw
	simd.AdamW(p, g, m, v, h.clip, h.beta1, h.beta2, h.rate, h.root, h.eps, h.decay)
}
