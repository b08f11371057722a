package compliance

import (
	"vgid/model/backend"
	"vgid/model/ref"
)

type tensor = backend.Tensor

// broken is a reference backend some of whose operations are replaced by
// mistaken ones. The replacements get the backend underneath to do most of the
// work. Fields are named like the methods they replace.
type broken struct {
	*ref.Backend
	on replaced
}

type replaced struct {
	Alloc             func(b *ref.Backend, dt backend.DType, n int) (backend.Buffer, error)
	Upload            func(b *ref.Backend, dst tensor, src []float32)
	UploadInts        func(b *ref.Backend, dst tensor, src []int32)
	Download          func(b *ref.Backend, dst []float32, src tensor) error
	DownloadInts      func(b *ref.Backend, dst []int32, src tensor) error
	Sync              func(b *ref.Backend) error
	Fill              func(b *ref.Backend, dst tensor, v float32)
	Copy              func(b *ref.Backend, dst, src tensor)
	Add               func(b *ref.Backend, dst, x, y tensor)
	Axpy              func(b *ref.Backend, y tensor, alpha float32, x tensor)
	Scale             func(b *ref.Backend, x tensor, alpha float32)
	MatMul            func(b *ref.Backend, c, x, y tensor, p backend.MatMul)
	SumRows           func(b *ref.Backend, dst, src tensor)
	GatherRows        func(b *ref.Backend, dst, src, idx tensor)
	ScatterRows       func(b *ref.Backend, dst, src, idx tensor)
	ScatterAddRows    func(b *ref.Backend, dst, src, idx tensor)
	RMSNorm           func(b *ref.Backend, y, rstd, x, w tensor, eps float32)
	RMSNormBackward   func(b *ref.Backend, dx, dw, dy, x, w, rstd tensor)
	LayerNorm         func(b *ref.Backend, y, stats, x, w, bias tensor, eps float32)
	LayerNormBackward func(b *ref.Backend, dx, dw, db, dy, x, w, stats tensor)
	Activate          func(b *ref.Backend, y, x tensor, f backend.Activation)
	ActivateBackward  func(b *ref.Backend, dx, dy, x tensor, f backend.Activation)
	SwiGLU            func(b *ref.Backend, y, gate, up tensor)
	SwiGLUBackward    func(b *ref.Backend, dgate, dup, dy, gate, up tensor)
	Dropout           func(b *ref.Backend, y, x tensor, p float32, key backend.Key, rows tensor)
	Random            func(b *ref.Backend, dst tensor, dist backend.Distribution, key backend.Key, sample tensor)
	RoPE              func(b *ref.Backend, x, cos, sin tensor, heads int, inverse bool)
	Attention         func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention)
	AttentionBackward func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention)
	Patchify          func(b *ref.Backend, dst, images tensor, channels, height, width, patch int)
	ArgMax            func(b *ref.Backend, dst, src tensor)
	LinearCE          func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor)
	LinearKL          func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL)
	SumSquares        func(b *ref.Backend, dst, x tensor)
	AdamW             func(b *ref.Backend, p, g, m, v, normSq tensor, h backend.AdamW)
}

func (be broken) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	if be.on.Alloc != nil {
		return be.on.Alloc(be.Backend, dt, n)
	}
	return be.Backend.Alloc(dt, n)
}

func (be broken) Upload(dst tensor, src []float32) {
	if be.on.Upload != nil {
		be.on.Upload(be.Backend, dst, src)
		return
	}
	be.Backend.Upload(dst, src)
}

func (be broken) UploadInts(dst tensor, src []int32) {
	if be.on.UploadInts != nil {
		be.on.UploadInts(be.Backend, dst, src)
		return
	}
	be.Backend.UploadInts(dst, src)
}

func (be broken) Download(dst []float32, src tensor) error {
	if be.on.Download != nil {
		return be.on.Download(be.Backend, dst, src)
	}
	return be.Backend.Download(dst, src)
}

func (be broken) DownloadInts(dst []int32, src tensor) error {
	if be.on.DownloadInts != nil {
		return be.on.DownloadInts(be.Backend, dst, src)
	}
	return be.Backend.DownloadInts(dst, src)
}

func (be broken) Sync() error {
	if be.on.Sync != nil {
		return be.on.Sync(be.Backend)
	}
	return be.Backend.Sync()
}

func (be broken) Fill(dst tensor, v float32) {
	if be.on.Fill != nil {
		be.on.Fill(be.Backend, dst, v)
		return
	}
	be.Backend.Fill(dst, v)
}

func (be broken) Copy(dst, src tensor) {
	if be.on.Copy != nil {
		be.on.Copy(be.Backend, dst, src)
		return
	}
	be.Backend.Copy(dst, src)
}

func (be broken) Add(dst, x, y tensor) {
	if be.on.Add != nil {
		be.on.Add(be.Backend, dst, x, y)
		return
	}
	be.Backend.Add(dst, x, y)
}

func (be broken) Axpy(y tensor, alpha float32, x tensor) {
	if be.on.Axpy != nil {
		be.on.Axpy(be.Backend, y, alpha, x)
		return
	}
	be.Backend.Axpy(y, alpha, x)
}

func (be broken) Scale(x tensor, alpha float32) {
	if be.on.Scale != nil {
		be.on.Scale(be.Backend, x, alpha)
		return
	}
	be.Backend.Scale(x, alpha)
}

func (be broken) MatMul(c, x, y tensor, p backend.MatMul) {
	if be.on.MatMul != nil {
		be.on.MatMul(be.Backend, c, x, y, p)
		return
	}
	be.Backend.MatMul(c, x, y, p)
}

func (be broken) SumRows(dst, src tensor) {
	if be.on.SumRows != nil {
		be.on.SumRows(be.Backend, dst, src)
		return
	}
	be.Backend.SumRows(dst, src)
}

func (be broken) GatherRows(dst, src, idx tensor) {
	if be.on.GatherRows != nil {
		be.on.GatherRows(be.Backend, dst, src, idx)
		return
	}
	be.Backend.GatherRows(dst, src, idx)
}

func (be broken) ScatterRows(dst, src, idx tensor) {
	if be.on.ScatterRows != nil {
		be.on.ScatterRows(be.Backend, dst, src, idx)
		return
	}
	be.Backend.ScatterRows(dst, src, idx)
}

func (be broken) ScatterAddRows(dst, src, idx tensor) {
	if be.on.ScatterAddRows != nil {
		be.on.ScatterAddRows(be.Backend, dst, src, idx)
		return
	}
	be.Backend.ScatterAddRows(dst, src, idx)
}

func (be broken) RMSNorm(y, rstd, x, w tensor, eps float32) {
	if be.on.RMSNorm != nil {
		be.on.RMSNorm(be.Backend, y, rstd, x, w, eps)
		return
	}
	be.Backend.RMSNorm(y, rstd, x, w, eps)
}

func (be broken) RMSNormBackward(dx, dw, dy, x, w, rstd tensor) {
	if be.on.RMSNormBackward != nil {
		be.on.RMSNormBackward(be.Backend, dx, dw, dy, x, w, rstd)
		return
	}
	be.Backend.RMSNormBackward(dx, dw, dy, x, w, rstd)
}

func (be broken) LayerNorm(y, stats, x, w, bias tensor, eps float32) {
	if be.on.LayerNorm != nil {
		be.on.LayerNorm(be.Backend, y, stats, x, w, bias, eps)
		return
	}
	be.Backend.LayerNorm(y, stats, x, w, bias, eps)
}

func (be broken) LayerNormBackward(dx, dw, db, dy, x, w, stats tensor) {
	if be.on.LayerNormBackward != nil {
		be.on.LayerNormBackward(be.Backend, dx, dw, db, dy, x, w, stats)
		return
	}
	be.Backend.LayerNormBackward(dx, dw, db, dy, x, w, stats)
}

func (be broken) Activate(y, x tensor, f backend.Activation) {
	if be.on.Activate != nil {
		be.on.Activate(be.Backend, y, x, f)
		return
	}
	be.Backend.Activate(y, x, f)
}

func (be broken) ActivateBackward(dx, dy, x tensor, f backend.Activation) {
	if be.on.ActivateBackward != nil {
		be.on.ActivateBackward(be.Backend, dx, dy, x, f)
		return
	}
	be.Backend.ActivateBackward(dx, dy, x, f)
}

func (be broken) SwiGLU(y, gate, up tensor) {
	if be.on.SwiGLU != nil {
		be.on.SwiGLU(be.Backend, y, gate, up)
		return
	}
	be.Backend.SwiGLU(y, gate, up)
}

func (be broken) SwiGLUBackward(dgate, dup, dy, gate, up tensor) {
	if be.on.SwiGLUBackward != nil {
		be.on.SwiGLUBackward(be.Backend, dgate, dup, dy, gate, up)
		return
	}
	be.Backend.SwiGLUBackward(dgate, dup, dy, gate, up)
}

func (be broken) Dropout(y, x tensor, p float32, key backend.Key, rows tensor) {
	if be.on.Dropout != nil {
		be.on.Dropout(be.Backend, y, x, p, key, rows)
		return
	}
	be.Backend.Dropout(y, x, p, key, rows)
}

func (be broken) Random(dst tensor, dist backend.Distribution, key backend.Key, sample tensor) {
	if be.on.Random != nil {
		be.on.Random(be.Backend, dst, dist, key, sample)
		return
	}
	be.Backend.Random(dst, dist, key, sample)
}

func (be broken) RoPE(x, cos, sin tensor, heads int, inverse bool) {
	if be.on.RoPE != nil {
		be.on.RoPE(be.Backend, x, cos, sin, heads, inverse)
		return
	}
	be.Backend.RoPE(x, cos, sin, heads, inverse)
}

func (be broken) Attention(o, lse, q, k, v tensor, p backend.Attention) {
	if be.on.Attention != nil {
		be.on.Attention(be.Backend, o, lse, q, k, v, p)
		return
	}
	be.Backend.Attention(o, lse, q, k, v, p)
}

func (be broken) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
	if be.on.AttentionBackward != nil {
		be.on.AttentionBackward(be.Backend, dq, dk, dv, do, o, lse, q, k, v, p)
		return
	}
	be.Backend.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
}

func (be broken) Patchify(dst, images tensor, channels, height, width, patch int) {
	if be.on.Patchify != nil {
		be.on.Patchify(be.Backend, dst, images, channels, height, width, patch)
		return
	}
	be.Backend.Patchify(dst, images, channels, height, width, patch)
}

func (be broken) ArgMax(dst, src tensor) {
	if be.on.ArgMax != nil {
		be.on.ArgMax(be.Backend, dst, src)
		return
	}
	be.Backend.ArgMax(dst, src)
}

func (be broken) LinearCE(loss, dh, dw, h, w, target, weight tensor) {
	if be.on.LinearCE != nil {
		be.on.LinearCE(be.Backend, loss, dh, dw, h, w, target, weight)
		return
	}
	be.Backend.LinearCE(loss, dh, dw, h, w, target, weight)
}

func (be broken) LinearKL(loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
	if be.on.LinearKL != nil {
		be.on.LinearKL(be.Backend, loss, dh, dw, h, w, ht, wt, weight, p)
		return
	}
	be.Backend.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
}

func (be broken) SumSquares(dst, x tensor) {
	if be.on.SumSquares != nil {
		be.on.SumSquares(be.Backend, dst, x)
		return
	}
	be.Backend.SumSquares(dst, x)
}

func (be broken) AdamW(p, g, m, v, normSq tensor, h backend.AdamW) {
	if be.on.AdamW != nil {
		be.on.AdamW(be.Backend, p, g, m, v, normSq, h)
		return
	}
	be.Backend.AdamW(p, g, m, v, normSq, h)
}
