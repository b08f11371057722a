package compliance

import (
	"math"

	"vgid/model/backend"
	"vgid/model/ref"
)

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

var elementwiseMutants = []mutant{
	{"fill goes past the view", "fill", "", replaced{Fill: func(b *ref.Backend, dst tensor, v float32) {
		b.Fill(backend.View(dst.Buf, 0, 1, dst.Buf.Len()), v)
	}}},
	{"fill of bf16 truncates", "bf16 storage", "", replaced{Fill: func(b *ref.Backend, dst tensor, v float32) {
		if dst.Buf.DType() == backend.BF16 {
			v = math.Float32frombits(math.Float32bits(v) &^ 0xFFFF)
		}
		b.Fill(dst, v)
	}}},
	{"copy to bf16 rounds ties away", "bf16 storage", "", replaced{Copy: func(b *ref.Backend, dst, src tensor) {
		b.Copy(dst, src)
		if dst.Buf.DType() == backend.BF16 {
			each(dst, func(r, c int) {
				if v := float32(b.At(src, r, c)); v == v {
					b.Set(dst, r, c, float64(math.Float32frombits((math.Float32bits(v)+0x8000)&^0xFFFF)))
				}
			})
		}
	}}},
	{"copy takes the whole rows", "copy", "", replaced{Copy: func(b *ref.Backend, dst, src tensor) {
		if dst.Rows > 1 {
			wide := min(dst.Stride, src.Stride)
			dst, src = dst.RowRange(0, dst.Rows-1), src.RowRange(0, src.Rows-1)
			dst.Cols, src.Cols = wide, wide
		}
		b.Copy(dst, src)
	}}},
	{"add into b adds a twice", "add", "", replaced{Add: func(b *ref.Backend, dst, x, y tensor) {
		b.Copy(dst, x)
		b.Axpy(dst, 1, y)
	}}},
	{"axpy overwrites", "axpy and scale", "", replaced{Axpy: func(b *ref.Backend, y tensor, alpha float32, x tensor) {
		b.Copy(y, x)
		b.Scale(y, alpha)
	}}},
	{"scale goes past the view", "axpy and scale", "", replaced{Scale: func(b *ref.Backend, x tensor, alpha float32) {
		b.Scale(x, alpha)
		if x.Rows > 1 && x.Stride > x.Cols {
			gap := x
			gap.Off, gap.Rows, gap.Cols = x.Off+x.Cols, x.Rows-1, x.Stride-x.Cols
			b.Fill(gap, 0)
		}
	}}},

	{"gelu by tanh", "activations", "activate", replaced{Activate: func(b *ref.Backend, y, x tensor, f backend.Activation) {
		if f == backend.GELU {
			f = backend.GELUTanh
		}
		b.Activate(y, x, f)
	}}},
	{"gelu by tanh with a short constant", "activations", "activate", replaced{Activate: func(b *ref.Backend, y, x tensor, f backend.Activation) {
		if f != backend.GELUTanh {
			b.Activate(y, x, f)
			return
		}
		each(x, func(r, c int) {
			v := b.At(x, r, c)
			b.Set(y, r, c, 0.5*v*(1+math.Tanh(math.Sqrt(2/math.Pi)*(v+0.0447*v*v*v))))
		})
	}}},
	{"quick gelu with gain 1.7", "activations", "activate", replaced{Activate: func(b *ref.Backend, y, x tensor, f backend.Activation) {
		if f != backend.QuickGELU {
			b.Activate(y, x, f)
			return
		}
		each(x, func(r, c int) { b.Set(y, r, c, b.At(x, r, c)*sigmoid(1.7*b.At(x, r, c))) })
	}}},
	{"silu as e^x/(1+e^x)", "activations", "", replaced{Activate: func(b *ref.Backend, y, x tensor, f backend.Activation) {
		if f != backend.SiLU {
			b.Activate(y, x, f)
			return
		}
		each(x, func(r, c int) {
			e := math.Exp(b.At(x, r, c)) // infinite far out
			b.Set(y, r, c, b.At(x, r, c)*e/(1+e))
		})
	}}},
	{"activations turn nan to 0", "activations of nan", "", replaced{Activate: func(b *ref.Backend, y, x tensor, f backend.Activation) {
		b.Activate(y, x, f)
		each(y, func(r, c int) {
			if math.IsNaN(b.At(y, r, c)) {
				b.Set(y, r, c, 0)
			}
		})
	}}},
	{"derivative of gelu without its second term", "activations", "activate", replaced{ActivateBackward: func(b *ref.Backend, dx, dy, x tensor, f backend.Activation) {
		if f != backend.GELU {
			b.ActivateBackward(dx, dy, x, f)
			return
		}
		each(x, func(r, c int) { b.Set(dx, r, c, b.At(dy, r, c)*0.5*math.Erfc(-b.At(x, r, c)/math.Sqrt2)) })
	}}},
	{"derivative of quick gelu without its gain", "activations", "activate", replaced{ActivateBackward: func(b *ref.Backend, dx, dy, x tensor, f backend.Activation) {
		if f != backend.QuickGELU {
			b.ActivateBackward(dx, dy, x, f)
			return
		}
		each(x, func(r, c int) {
			v := b.At(x, r, c)
			s := sigmoid(1.702 * v)
			b.Set(dx, r, c, b.At(dy, r, c)*(s+v*s*(1-s)))
		})
	}}},
	{"activate_backward forgets that dx may be dy", "activations", "", replaced{ActivateBackward: func(b *ref.Backend, dx, dy, x tensor, f backend.Activation) {
		b.Fill(dx, 1)
		b.ActivateBackward(dx, dx, x, f)
		each(dx, func(r, c int) { b.Set(dx, r, c, b.At(dx, r, c)*b.At(dy, r, c)) })
	}}},

	{"swiglu gates the wrong half", "swiglu", "swiglu", replaced{SwiGLU: func(b *ref.Backend, y, gate, up tensor) { b.SwiGLU(y, up, gate) }}},
	{"swiglu with gelu", "swiglu", "swiglu", replaced{SwiGLU: func(b *ref.Backend, y, gate, up tensor) {
		b.Activate(y, gate, backend.GELU)
		each(y, func(r, c int) { b.Set(y, r, c, b.At(y, r, c)*b.At(up, r, c)) })
	}}},
	{"swiglu clamps up", "swiglu with extreme up", "", replaced{SwiGLU: func(b *ref.Backend, y, gate, up tensor) {
		up = clone(b, up)
		each(up, func(r, c int) { b.Set(up, r, c, max(-6e4, min(6e4, b.At(up, r, c)))) }) // half precision's range
		b.SwiGLU(y, gate, up)
	}}},
	{"swiglu loses a small up", "swiglu with extreme up", "", replaced{SwiGLU: func(b *ref.Backend, y, gate, up tensor) {
		up = clone(b, up)
		each(up, func(r, c int) { b.Set(up, r, c, b.At(up, r, c)+1e-8) })
		b.SwiGLU(y, gate, up)
	}}},
	{"swiglu hides a nan", "swiglu of nan", "", replaced{SwiGLU: func(b *ref.Backend, y, gate, up tensor) {
		b.SwiGLU(y, gate, up)
		each(y, func(r, c int) {
			if math.IsNaN(b.At(y, r, c)) {
				b.Set(y, r, c, 0)
			}
		})
	}}},
	{"swiglu_backward gives the gate silu", "swiglu", "swiglu", replaced{SwiGLUBackward: func(b *ref.Backend, dgate, dup, dy, gate, up tensor) {
		b.SwiGLUBackward(dgate, dup, dy, gate, up)
		each(dgate, func(r, c int) { b.Set(dgate, r, c, b.At(dup, r, c)*b.At(up, r, c)) })
	}}},
	{"swiglu_backward adds", "swiglu", "", replaced{SwiGLUBackward: func(b *ref.Backend, dgate, dup, dy, gate, up tensor) {
		before := clone(b, dup)
		b.SwiGLUBackward(dgate, dup, dy, gate, up)
		b.Axpy(dup, 1, before)
	}}},
	{"swiglu_backward loses digits of silu'", "swiglu with extreme up", "", replaced{SwiGLUBackward: func(b *ref.Backend, dgate, dup, dy, gate, up tensor) {
		b.SwiGLUBackward(dgate, dup, dy, gate, up)
		each(dgate, func(r, c int) {
			b.Set(dgate, r, c, b.At(dgate, r, c)+3e-5*b.At(dy, r, c)*b.At(up, r, c))
		})
	}}},
}

var normMutants = []mutant{
	{"rms_norm leaves eps out", "rms_norm", "rms_norm", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) { b.RMSNorm(y, rstd, x, w, 0) }}},
	{"rms_norm adds eps outside the root", "rms_norm", "rms_norm", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) {
		b.RMSNorm(y, rstd, x, w, 0)
		for r := range x.Rows {
			s := 1 / (1/b.At(rstd, r, 0) + float64(eps))
			scale(b, y.RowRange(r, r+1), s/b.At(rstd, r, 0))
			b.Set(rstd, r, 0, s)
		}
	}}},
	{"rms_norm subtracts the mean", "rms_norm", "rms_norm", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) {
		stats := fresh(b, x.Rows, 2)
		b.LayerNorm(y, stats, x, w, fresh(b, 1, x.Cols), eps)
		b.Copy(rstd, stats.ColRange(1, 2))
	}}},
	{"rms_norm multiplies by 1+w", "rms_norm", "rms_norm", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) {
		w = clone(b, w)
		each(w, func(r, c int) { b.Set(w, r, c, 1+b.At(w, r, c)) })
		b.RMSNorm(y, rstd, x, w, eps)
	}}},
	{"rms_norm keeps the root, not its inverse", "rms_norm", "rms_norm", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) {
		b.RMSNorm(y, rstd, x, w, eps)
		each(rstd, func(r, c int) { b.Set(rstd, r, c, 1/b.At(rstd, r, c)) })
	}}},
	{"rms_norm writes one column more", "rms_norm", "", replaced{RMSNorm: func(b *ref.Backend, y, rstd, x, w tensor, eps float32) {
		b.RMSNorm(y, rstd, x, w, eps)
		if y.Rows > 1 && y.Stride > y.Cols {
			b.Fill(y.RowRange(0, 1).ColRange(y.Cols, y.Cols+1), 0)
		}
	}}},
	{"rms_norm_backward without 1/n", "rms_norm", "rms_norm", replaced{RMSNormBackward: func(b *ref.Backend, dx, dw, dy, x, w, rstd tensor) {
		b.RMSNormBackward(dx, dw, dy, x, w, rstd)
		for r := range x.Rows {
			s, sum := b.At(rstd, r, 0), 0.0
			for c := range x.Cols {
				sum += b.At(dy, r, c) * b.At(w, 0, c) * b.At(x, r, c) * s
			}
			for c := range x.Cols {
				b.Set(dx, r, c, b.At(dx, r, c)-s*s*b.At(x, r, c)*sum*(1-1/float64(x.Cols)))
			}
		}
	}}},
	{"rms_norm_backward overwrites dx", "rms_norm", "", replaced{RMSNormBackward: func(b *ref.Backend, dx, dw, dy, x, w, rstd tensor) {
		b.Fill(dx, 0)
		b.RMSNormBackward(dx, dw, dy, x, w, rstd)
	}}},
	{"rms_norm_backward gives dw without rstd", "rms_norm", "rms_norm", replaced{RMSNormBackward: func(b *ref.Backend, dx, dw, dy, x, w, rstd tensor) {
		b.RMSNormBackward(dx, tensor{}, dy, x, w, rstd)
		if !dw.IsZero() {
			ones := fresh(b, x.Rows, 1)
			b.Fill(ones, 1)
			b.RMSNormBackward(fresh(b, x.Rows, x.Cols), dw, dy, x, w, ones)
		}
	}}},
	{"layer_norm divides by n-1", "layer_norm", "layer_norm", replaced{LayerNorm: func(b *ref.Backend, y, stats, x, w, bias tensor, eps float32) {
		b.LayerNorm(y, stats, x, w, bias, eps)
		if n := float64(x.Cols); n > 1 {
			for r := range x.Rows {
				s := b.At(stats, r, 1)
				variance := 1/(s*s) - float64(eps)
				b.Set(stats, r, 1, 1/math.Sqrt(variance*n/(n-1)+float64(eps)))
				for c := range x.Cols {
					b.Set(y, r, c, (b.At(x, r, c)-b.At(stats, r, 0))*b.At(stats, r, 1)*b.At(w, 0, c)+b.At(bias, 0, c))
				}
			}
		}
	}}},
	{"layer_norm by E[x²]-E[x]² in float32", "layer_norm far from zero", "", replaced{LayerNorm: func(b *ref.Backend, y, stats, x, w, bias tensor, eps float32) {
		b.LayerNorm(y, stats, x, w, bias, eps)
		for r := range x.Rows {
			var sum, squares float32
			for c := range x.Cols {
				v := float32(b.At(x, r, c))
				sum += v
				squares += v * v
			}
			n := float32(x.Cols)
			s := 1 / math.Sqrt(float64(squares/n-sum/n*(sum/n)+eps))
			b.Set(stats, r, 1, s)
			for c := range x.Cols {
				b.Set(y, r, c, (b.At(x, r, c)-b.At(stats, r, 0))*s*b.At(w, 0, c)+b.At(bias, 0, c))
			}
		}
	}}},
	{"layer_norm keeps rstd before the mean", "layer_norm", "layer_norm", replaced{LayerNorm: func(b *ref.Backend, y, stats, x, w, bias tensor, eps float32) {
		b.LayerNorm(y, stats, x, w, bias, eps)
		for r := range x.Rows {
			mean, s := b.At(stats, r, 0), b.At(stats, r, 1)
			b.Set(stats, r, 0, s)
			b.Set(stats, r, 1, mean)
		}
	}}},
	{"layer_norm_backward without the mean of g", "layer_norm", "layer_norm", replaced{LayerNormBackward: func(b *ref.Backend, dx, dw, db, dy, x, w, stats tensor) {
		b.LayerNormBackward(dx, dw, db, dy, x, w, stats)
		for r := range x.Rows {
			mean := 0.0
			for c := range x.Cols {
				mean += b.At(dy, r, c) * b.At(w, 0, c) / float64(x.Cols)
			}
			for c := range x.Cols {
				b.Set(dx, r, c, b.At(dx, r, c)+b.At(stats, r, 1)*mean)
			}
		}
	}}},
	{"layer_norm_backward gives db times w", "layer_norm", "layer_norm", replaced{LayerNormBackward: func(b *ref.Backend, dx, dw, db, dy, x, w, stats tensor) {
		b.LayerNormBackward(dx, dw, tensor{}, dy, x, w, stats)
		if !db.IsZero() {
			each(dy, func(r, c int) { b.Set(db, 0, c, b.At(db, 0, c)+b.At(dy, r, c)*b.At(w, 0, c)) })
		}
	}}},
	{"layer_norm_backward works in dy", "layer_norm", "", replaced{LayerNormBackward: func(b *ref.Backend, dx, dw, db, dy, x, w, stats tensor) {
		b.LayerNormBackward(dx, dw, db, dy, x, w, stats)
		each(dy, func(r, c int) { b.Set(dy, r, c, b.At(dy, r, c)*b.At(w, 0, c)) })
	}}},
	{"layer_norm_backward overwrites dw", "layer_norm", "", replaced{LayerNormBackward: func(b *ref.Backend, dx, dw, db, dy, x, w, stats tensor) {
		if !dw.IsZero() {
			b.Fill(dw, 0)
		}
		b.LayerNormBackward(dx, dw, db, dy, x, w, stats)
	}}},
}

var randomMutants = []mutant{
	{"random keyed by row", "random normal", "", replaced{Random: func(b *ref.Backend, dst tensor, dist backend.Distribution, key backend.Key, sample tensor) {
		b.Random(dst, dist, key, makeInts(b, dst.Rows, 1, func(r, _ int) int32 { return int32(r) }))
	}}},
	{"random without the step", "random uniform", "", replaced{Random: func(b *ref.Backend, dst tensor, dist backend.Distribution, key backend.Key, sample tensor) {
		key.Step = 0
		b.Random(dst, dist, key, sample)
	}}},
	{"normal in the other order", "random normal", "", replaced{Random: func(b *ref.Backend, dst tensor, dist backend.Distribution, key backend.Key, sample tensor) {
		b.Random(dst, dist, key, sample)
		if dist == backend.Normal {
			each(dst, func(r, c int) {
				if c%2 == 1 {
					odd := b.At(dst, r, c)
					b.Set(dst, r, c, b.At(dst, r, c-1))
					b.Set(dst, r, c-1, odd)
				}
			})
		}
	}}},
	{"uniform with 23 bits", "random uniform", "", replaced{Random: func(b *ref.Backend, dst tensor, dist backend.Distribution, key backend.Key, sample tensor) {
		b.Random(dst, dist, key, sample)
		if dist == backend.Uniform {
			each(dst, func(r, c int) { b.Set(dst, r, c, math.Floor(b.At(dst, r, c)*(1<<23))/(1<<23)) })
		}
	}}},
	{"dropout keyed by row", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		b.Dropout(y, x, p, key, makeInts(b, x.Rows, 2, func(r, c int) int32 { return int32(r * (1 - c)) }))
	}}},
	{"dropout keyed by row, in any batch", "dropout does not depend on the batch", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		b.Dropout(y, x, p, key, makeInts(b, x.Rows, 2, func(r, c int) int32 { return int32(r * (1 - c)) }))
	}}},
	{"dropout without the position", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		ids := readInts(b, rows)
		b.Dropout(y, x, p, key, makeInts(b, x.Rows, 2, func(r, c int) int32 { return ids[2*r] * int32(1-c) }))
	}}},
	{"dropout takes position and sample for each other", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		ids := readInts(b, rows)
		b.Dropout(y, x, p, key, makeInts(b, x.Rows, 2, func(r, c int) int32 { return ids[2*r+1-c] }))
	}}},
	{"dropout without 1/(1-p)", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		b.Dropout(y, x, p, key, rows)
		scale(b, y, 1-float64(p))
	}}},
	{"dropout drops four columns at once", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		ids := readInts(b, rows)
		each(x, func(r, c int) {
			v := 0.0
			if backend.Keep(key.Block(uint32(c/4), uint32(ids[2*r+1]), uint32(ids[2*r]))[0], p) {
				v = b.At(x, r, c) / (1 - float64(p))
			}
			b.Set(y, r, c, v)
		})
	}}},
	{"dropout keeps with probability p", "dropout", "", replaced{Dropout: func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor) {
		kept := clone(b, x)
		b.Dropout(kept, x, p, key, rows)
		each(x, func(r, c int) {
			v := b.At(x, r, c) / (1 - float64(p))
			if b.At(kept, r, c) != 0 {
				v = 0
			}
			b.Set(y, r, c, v)
		})
	}}},
}
