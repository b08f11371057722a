package compliance

import (
	"math"

	"vgid/model/backend"
	"vgid/model/ref"
)

// weighted is LinearCE with other weights.
func weighted(f func(weight float64, rows int) float64) replaced {
	return replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if !weight.IsZero() {
			weight = clone(b, weight)
			each(weight, func(r, c int) { b.Set(weight, r, c, f(b.At(weight, r, c), h.Rows)) })
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}
}

// orOne reads a temperature.
func orOne(v float32) float64 {
	if v == 0 {
		return 1
	}
	return float64(v)
}

var headMutants = []mutant{
	{"linear_ce descends where it should ascend", "linear_ce", "linear_ce", weighted(func(w float64, _ int) float64 { return math.Abs(w) })},
	{"linear_ce ignores negative weights", "linear_ce", "linear_ce", weighted(func(w float64, _ int) float64 { return max(0, w) })},
	{"linear_ce averages over the rows", "linear_ce", "linear_ce", weighted(func(w float64, rows int) float64 { return w / float64(rows) })},
	{"linear_ce weights the loss", "linear_ce", "linear_ce", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		b.LinearCE(loss, dh, dw, h, w, target, weight)
		if !weight.IsZero() {
			each(loss, func(r, c int) { b.Set(loss, r, c, b.At(loss, r, c)*b.At(weight, r, c)) })
		}
	}}},
	{"linear_ce overwrites dw", "linear_ce", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if !dw.IsZero() {
			b.Fill(dw, 0)
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}},
	{"linear_ce overwrites dh", "linear_ce", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if !dh.IsZero() {
			b.Fill(dh, 0)
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}},
	{"linear_ce gives dw with dh only", "linear_ce", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if dh.IsZero() {
			dw = tensor{}
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}},
	{"linear_ce takes the target before", "linear_ce", "linear_ce", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		ids := readInts(b, target)
		b.LinearCE(loss, dh, dw, h, w, makeInts(b, target.Rows, 1, func(r, _ int) int32 { return max(0, ids[r]-1) }), weight)
	}}},
	{"linear_ce loses the second chunk of rows", "linear_ce", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		keep := min(h.Rows, 256)
		part := func(t tensor) tensor {
			if t.IsZero() {
				return t
			}
			return t.RowRange(0, keep)
		}
		b.LinearCE(loss, tensor{}, tensor{}, h, w, target, tensor{})
		b.LinearCE(part(loss), part(dh), dw, part(h), w, part(target), part(weight))
	}}},
	{"linear_ce without subtracting the maximum", "linear heads with large logits", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		b.LinearCE(loss, dh, dw, h, w, target, weight)
		for r := range h.Rows {
			var sum float32
			for i := range w.Rows {
				logit := 0.0
				for c := range h.Cols {
					logit += b.At(h, r, c) * b.At(w, i, c)
				}
				sum += float32(math.Exp(logit))
			}
			if math.IsInf(float64(sum), 1) {
				b.Set(loss, r, 0, math.Inf(1))
			}
		}
	}}},
	{"linear_ce takes a target past the vocabulary", "errors", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if target.Rows == h.Rows && target.Cols == 1 {
			ids := readInts(b, target)
			target = makeInts(b, target.Rows, 1, func(r, _ int) int32 { return ids[r] % int32(w.Rows) })
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}},

	{"linear_kl the other way round", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		// Only the value: KL(student ‖ teacher).
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
		p.TeacherTemp, p.StudentTemp = p.StudentTemp, p.TeacherTemp
		b.LinearKL(loss, tensor{}, tensor{}, ht, wt, h, w, tensor{}, p)
	}}},
	{"linear_kl exchanges the temperatures", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		p.TeacherTemp, p.StudentTemp = p.StudentTemp, p.TeacherTemp
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}}},
	{"linear_kl gives the student the teacher's temperature", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		p.StudentTemp = p.TeacherTemp
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}}},
	{"linear_kl gradient without 1/τ", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		k := orOne(p.StudentTemp) - 1
		extra(b, dh, k, func() {
			extra(b, dw, k, func() { b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p) })
		})
	}}},
	{"linear_kl scales the loss only", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		k := 1/orOne(p.Scale) - 1
		extra(b, dh, k, func() {
			extra(b, dw, k, func() { b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p) })
		})
	}}},
	{"linear_kl scales the gradient only", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
		scale(b, loss, 1/orOne(p.Scale))
	}}},
	{"linear_kl ignores the sign of the weights", "linear_kl", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		if !weight.IsZero() {
			weight = clone(b, weight)
			each(weight, func(r, c int) { b.Set(weight, r, c, math.Abs(b.At(weight, r, c))) })
		}
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}}},
	{"linear_kl with the student's head for the teacher", "linear_kl", "", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		if ht.Cols == h.Cols {
			wt = w
		}
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}}},
	{"linear_kl leaves a constant", "linear_kl of equal models", "linear_kl", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
		each(loss, func(r, c int) { b.Set(loss, r, c, b.At(loss, r, c)+2e-5) })
	}}},
	{"linear_kl adds 0·∞", "linear heads with large logits", "", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
		for r := range h.Rows {
			if b.At(loss, r, 0) > 90 { // some probability of the student is 0 in float32
				b.Set(loss, r, 0, math.NaN())
			}
		}
	}}},
}

// update is AdamW with other hyper-parameters.
func update(change func(h *backend.AdamW)) replaced {
	return replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		change(&h)
		b.AdamW(p, g, m, v, normSq, h)
	}}
}

// updateBy is AdamW whose last line, from the new moments, is another: it
// gets the parameter and the bias-corrected moments.
func updateBy(step func(p, m, v float64, h backend.AdamW) float64) replaced {
	return replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		before := clone(b, p)
		b.AdamW(p, g, m, v, normSq, h)
		c1, c2 := 1-math.Pow(float64(h.Beta1), float64(h.Step)), 1-math.Pow(float64(h.Beta2), float64(h.Step))
		each(p, func(r, c int) { b.Set(p, r, c, step(b.At(before, r, c), b.At(m, r, c)/c1, b.At(v, r, c)/c2, h)) })
	}}
}

var optimizerMutants = []mutant{
	{"sum_squares overwrites", "sum_squares", "", replaced{SumSquares: func(b *ref.Backend, dst, x tensor) {
		b.Fill(dst, 0)
		b.SumSquares(dst, x)
	}}},
	{"sum_squares takes the root", "sum_squares", "adamw", replaced{SumSquares: func(b *ref.Backend, dst, x tensor) {
		b.SumSquares(dst, x)
		b.Set(dst, 0, 0, math.Sqrt(b.At(dst, 0, 0)))
	}}},
	{"sum_squares runs over the gaps between rows", "sum_squares", "", replaced{SumSquares: func(b *ref.Backend, dst, x tensor) {
		if x.Rows > 1 {
			x.Cols = x.Stride
			x.Rows--
		}
		b.SumSquares(dst, x)
	}}},
	{"adamw is a step ahead", "adamw hyper-parameters", "adamw", update(func(h *backend.AdamW) { h.Step++ })},
	{"adamw corrects β2 by β1", "adamw hyper-parameters", "adamw", updateBy(func(p, m, v float64, h backend.AdamW) float64 {
		c1, c2 := 1-math.Pow(float64(h.Beta1), float64(h.Step)), 1-math.Pow(float64(h.Beta2), float64(h.Step))
		return p*(1-float64(h.LR)*float64(h.WeightDecay)) - float64(h.LR)*m/(math.Sqrt(v*c2/c1)+float64(h.Eps))
	})},
	{"adamw does not correct β2", "adamw hyper-parameters", "adamw", updateBy(func(p, m, v float64, h backend.AdamW) float64 {
		c2 := 1 - math.Pow(float64(h.Beta2), float64(h.Step))
		return p*(1-float64(h.LR)*float64(h.WeightDecay)) - float64(h.LR)*m/(math.Sqrt(v*c2)+float64(h.Eps))
	})},
	{"adamw adds eps inside the root", "adamw hyper-parameters", "adamw", updateBy(func(p, m, v float64, h backend.AdamW) float64 {
		return p*(1-float64(h.LR)*float64(h.WeightDecay)) - float64(h.LR)*m/math.Sqrt(v+float64(h.Eps))
	})},
	{"adamw decays after the step", "adamw hyper-parameters", "adamw", updateBy(func(p, m, v float64, h backend.AdamW) float64 {
		return (p - float64(h.LR)*m/(math.Sqrt(v)+float64(h.Eps))) * (1 - float64(h.LR)*float64(h.WeightDecay))
	})},
	{"adamw decays without the rate", "adamw hyper-parameters", "adamw", updateBy(func(p, m, v float64, h backend.AdamW) float64 {
		return p*(1-float64(h.WeightDecay)) - float64(h.LR)*m/(math.Sqrt(v)+float64(h.Eps))
	})},
	{"adamw decays through the gradient", "adamw hyper-parameters", "adamw", replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		g = clone(b, g)
		b.Axpy(g, h.WeightDecay, p)
		h.WeightDecay = 0
		b.AdamW(p, g, m, v, normSq, h)
	}}},
	{"adamw ignores the clip norm", "adamw hyper-parameters", "adamw", update(func(h *backend.AdamW) { h.ClipNorm = 0 })},
	{"adamw compares the clip norm with the squared norm", "adamw hyper-parameters", "adamw", replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		if !normSq.IsZero() {
			normSq = clone(b, normSq)
			b.Set(normSq, 0, 0, b.At(normSq, 0, 0)*b.At(normSq, 0, 0))
		}
		b.AdamW(p, g, m, v, normSq, h)
	}}},
	{"adamw grows gradients below the clip norm", "adamw hyper-parameters", "", replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		if !normSq.IsZero() && h.ClipNorm > 0 {
			g = clone(b, g)
			if n := math.Sqrt(b.At(normSq, 0, 0)); n < float64(h.ClipNorm) && n > 0 {
				scale(b, g, float64(h.ClipNorm)/n)
			}
		}
		b.AdamW(p, g, m, v, normSq, h)
	}}},
	{"adamw divides by a zero norm", "adamw hyper-parameters", "", replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		if !normSq.IsZero() && b.At(normSq, 0, 0) == 0 && h.ClipNorm > 0 {
			g = clone(b, g)
			scale(b, g, math.NaN())
		}
		b.AdamW(p, g, m, v, normSq, h)
	}}},
	{"adamw changes the gradient", "adamw hyper-parameters", "", replaced{AdamW: func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW) {
		b.AdamW(p, g, m, v, normSq, h)
		if !normSq.IsZero() && h.ClipNorm > 0 {
			b.Scale(g, 0.5)
		}
	}}},
	{"adamw exchanges β1 and β2", "adamw hyper-parameters", "adamw", update(func(h *backend.AdamW) { h.Beta1, h.Beta2 = h.Beta2, h.Beta1 })},
}
