package backend

// The operations: each is checked, then given to the device. They are written out
// rather than passed through a common closure, whose arguments could escape to the
// heap: steps allocate nothing.

func (s *checked) Upload(dst Tensor, src []float32) {
	if s.ready(s.checkUpload(dst, len(src))) {
		s.dev.Upload(dst, src)
	}
}

func (s *checked) UploadInts(dst Tensor, src []int32) {
	if s.ready(s.checkUploadInts(dst, len(src))) {
		s.dev.UploadInts(dst, src)
	}
}

func (s *checked) Fill(dst Tensor, v float32) {
	if s.ready(s.checkFill(dst)) {
		s.dev.Fill(dst, v)
	}
}

func (s *checked) Copy(dst, src Tensor) {
	if s.ready(s.checkCopy(dst, src)) {
		s.dev.Copy(dst, src)
	}
}

func (s *checked) Add(dst, a, b Tensor) {
	if s.ready(s.checkAdd(dst, a, b)) {
		s.dev.Add(dst, a, b)
	}
}

func (s *checked) Axpy(y Tensor, alpha float32, x Tensor) {
	if s.ready(s.checkAxpy(y, x)) {
		s.dev.Axpy(y, alpha, x)
	}
}

func (s *checked) Scale(x Tensor, alpha float32) {
	if s.ready(s.checkScale(x)) {
		s.dev.Scale(x, alpha)
	}
}

func (s *checked) MatMul(c, a, b Tensor, p MatMul) {
	if s.ready(s.checkMatMul(c, a, b, p)) {
		s.dev.MatMul(c, a, b, p)
	}
}

func (s *checked) SumRows(dst, src Tensor) {
	if s.ready(s.checkSumRows(dst, src)) {
		s.dev.SumRows(dst, src)
	}
}

func (s *checked) GatherRows(dst, src, idx Tensor) {
	if s.ready(s.checkGatherRows(dst, src, idx)) {
		s.dev.GatherRows(dst, src, idx)
	}
}

func (s *checked) ScatterRows(dst, src, idx Tensor) {
	if s.ready(s.checkScatterRows(dst, src, idx)) {
		s.dev.ScatterRows(dst, src, idx)
	}
}

func (s *checked) ScatterAddRows(dst, src, idx Tensor) {
	if s.ready(s.checkScatterAddRows(dst, src, idx)) {
		s.dev.ScatterAddRows(dst, src, idx)
	}
}

func (s *checked) RMSNorm(y, rstd, x, w Tensor, eps float32) {
	if s.ready(s.checkRMSNorm(y, rstd, x, w)) {
		s.dev.RMSNorm(y, rstd, x, w, eps)
	}
}

func (s *checked) RMSNormBackward(dx, dw, dy, x, w, rstd Tensor) {
	if s.ready(s.checkRMSNormBackward(dx, dw, dy, x, w, rstd)) {
		s.dev.RMSNormBackward(dx, dw, dy, x, w, rstd)
	}
}

func (s *checked) LayerNorm(y, stats, x, w, b Tensor, eps float32) {
	if s.ready(s.checkLayerNorm(y, stats, x, w, b)) {
		s.dev.LayerNorm(y, stats, x, w, b, eps)
	}
}

func (s *checked) LayerNormBackward(dx, dw, db, dy, x, w, stats Tensor) {
	if s.ready(s.checkLayerNormBackward(dx, dw, db, dy, x, w, stats)) {
		s.dev.LayerNormBackward(dx, dw, db, dy, x, w, stats)
	}
}

func (s *checked) Activate(y, x Tensor, f Activation) {
	if s.ready(s.checkActivate(y, x, f)) {
		s.dev.Activate(y, x, f)
	}
}

func (s *checked) ActivateBackward(dx, dy, x Tensor, f Activation) {
	if s.ready(s.checkActivateBackward(dx, dy, x, f)) {
		s.dev.ActivateBackward(dx, dy, x, f)
	}
}

func (s *checked) SwiGLU(y, gate, up Tensor) {
	if s.ready(s.checkSwiGLU(y, gate, up)) {
		s.dev.SwiGLU(y, gate, up)
	}
}

func (s *checked) SwiGLUBackward(dgate, dup, dy, gate, up Tensor) {
	if s.ready(s.checkSwiGLUBackward(dgate, dup, dy, gate, up)) {
		s.dev.SwiGLUBackward(dgate, dup, dy, gate, up)
	}
}

func (s *checked) Dropout(y, x Tensor, p float32, key Key, rows Tensor) {
	if s.ready(s.checkDropout(y, x, p, rows)) {
		s.dev.Dropout(y, x, p, key, rows)
	}
}

func (s *checked) Random(dst Tensor, dist Distribution, key Key, sample Tensor) {
	if s.ready(s.checkRandom(dst, dist, sample)) {
		s.dev.Random(dst, dist, key, sample)
	}
}

func (s *checked) RoPE(x, cos, sin Tensor, heads int, inverse bool) {
	if s.ready(s.checkRoPE(x, cos, sin, heads)) {
		s.dev.RoPE(x, cos, sin, heads, inverse)
	}
}

func (s *checked) Attention(o, lse, q, k, v Tensor, p Attention) {
	if s.ready(s.checkAttention(o, lse, q, k, v, p)) {
		s.dev.Attention(o, lse, q, k, v, p)
	}
}

func (s *checked) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v Tensor, p Attention) {
	if s.ready(s.checkAttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)) {
		s.dev.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
	}
}

func (s *checked) Patchify(dst, images Tensor, channels, height, width, patch int) {
	if s.ready(s.checkPatchify(dst, images, channels, height, width, patch)) {
		s.dev.Patchify(dst, images, channels, height, width, patch)
	}
}

func (s *checked) ArgMax(dst, src Tensor) {
	if s.ready(s.checkArgMax(dst, src)) {
		s.dev.ArgMax(dst, src)
	}
}

func (s *checked) LinearCE(loss, dh, dw, h, w, target, weight Tensor) {
	if s.ready(s.checkLinearCE(loss, dh, dw, h, w, target, weight)) {
		s.dev.LinearCE(loss, dh, dw, h, w, target, weight)
	}
}

func (s *checked) LinearKL(loss, dh, dw, h, w, ht, wt, weight Tensor, p KL) {
	if s.ready(s.checkLinearKL(loss, dh, dw, h, w, ht, wt, weight, p)) {
		s.dev.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}
}

func (s *checked) SumSquares(dst, x Tensor) {
	if s.ready(s.checkSumSquares(dst, x)) {
		s.dev.SumSquares(dst, x)
	}
}

func (s *checked) AdamW(p, g, m, v, normSq Tensor, h AdamW) {
	if s.ready(s.checkAdamW(p, g, m, v, normSq, h)) {
		s.dev.AdamW(p, g, m, v, normSq, h)
	}
}
