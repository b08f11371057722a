package dry

import "vgid/model/backend"

// The operations of backend.Backend: each notes what it would write to, and on
// CUDA what it would need beside that.

// Upload implements backend.Backend.
func (b *Backend) Upload(dst backend.Tensor, _ []float32) { b.wrote(dst) }

// UploadInts implements backend.Backend.
func (b *Backend) UploadInts(dst backend.Tensor, _ []int32) { b.wrote(dst) }

// Fill implements backend.Backend.
func (b *Backend) Fill(dst backend.Tensor, _ float32) { b.wrote(dst) }

// Copy implements backend.Backend.
func (b *Backend) Copy(dst, _ backend.Tensor) { b.wrote(dst) }

// Add implements backend.Backend.
func (b *Backend) Add(dst, _, _ backend.Tensor) { b.wrote(dst) }

// Axpy implements backend.Backend.
func (b *Backend) Axpy(y backend.Tensor, _ float32, _ backend.Tensor) { b.wrote(y) }

// Scale implements backend.Backend.
func (b *Backend) Scale(x backend.Tensor, _ float32) { b.wrote(x) }

// MatMul implements backend.Backend.
func (b *Backend) MatMul(c, x, y backend.Tensor, _ backend.MatMul) {
	b.wrote(c)
	if b.opt.CUDA {
		b.takes(b.product(c, x, y))
	}
}

// SumRows implements backend.Backend.
func (b *Backend) SumRows(dst, _ backend.Tensor) { b.wrote(dst) }

// GatherRows implements backend.Backend.
func (b *Backend) GatherRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// ScatterRows implements backend.Backend.
func (b *Backend) ScatterRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// ScatterAddRows implements backend.Backend.
func (b *Backend) ScatterAddRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// RMSNorm implements backend.Backend.
func (b *Backend) RMSNorm(y, rstd, _, _ backend.Tensor, _ float32) { b.wrote(y, rstd) }

// RMSNormBackward implements backend.Backend.
func (b *Backend) RMSNormBackward(dx, dw, _, _, _, _ backend.Tensor) { b.wrote(dx, dw) }

// LayerNorm implements backend.Backend.
func (b *Backend) LayerNorm(y, stats, _, _, _ backend.Tensor, _ float32) { b.wrote(y, stats) }

// LayerNormBackward implements backend.Backend.
func (b *Backend) LayerNormBackward(dx, dw, db, _, _, _, _ backend.Tensor) { b.wrote(dx, dw, db) }

// Activate implements backend.Backend.
func (b *Backend) Activate(y, _ backend.Tensor, _ backend.Activation) { b.wrote(y) }

// ActivateBackward implements backend.Backend.
func (b *Backend) ActivateBackward(dx, _, _ backend.Tensor, _ backend.Activation) { b.wrote(dx) }

// SwiGLU implements backend.Backend.
func (b *Backend) SwiGLU(y, _, _ backend.Tensor) { b.wrote(y) }

// SwiGLUBackward implements backend.Backend.
func (b *Backend) SwiGLUBackward(dgate, dup, _, _, _ backend.Tensor) { b.wrote(dgate, dup) }

// Dropout implements backend.Backend.
func (b *Backend) Dropout(y, _ backend.Tensor, _ float32, _ backend.Key, _ backend.Tensor) {
	b.wrote(y)
}

// Random implements backend.Backend.
func (b *Backend) Random(dst backend.Tensor, _ backend.Distribution, _ backend.Key, _ backend.Tensor) {
	b.wrote(dst)
}

// RoPE implements backend.Backend.
func (b *Backend) RoPE(x, _, _ backend.Tensor, _ int, _ bool) { b.wrote(x) }

// Attention implements backend.Backend.
func (b *Backend) Attention(o, lse, _, _, _ backend.Tensor, _ backend.Attention) { b.wrote(o, lse) }

// AttentionBackward implements backend.Backend.
func (b *Backend) AttentionBackward(dq, dk, dv, _, _, _, q, _, _ backend.Tensor, p backend.Attention) {
	b.wrote(dq, dk, dv)
	if b.opt.CUDA {
		b.takes(int64(4 * q.Rows * p.Heads))
	}
}

// Patchify implements backend.Backend.
func (b *Backend) Patchify(dst, _ backend.Tensor, _, _, _, _ int) { b.wrote(dst) }

// ArgMax implements backend.Backend.
func (b *Backend) ArgMax(dst, _ backend.Tensor) { b.wrote(dst) }

// LinearCE implements backend.Backend.
func (b *Backend) LinearCE(loss, dh, dw, h, w, _, _ backend.Tensor) {
	b.wrote(loss, dh, dw)
	if b.opt.CUDA {
		b.takes(b.head([2]backend.Tensor{h, w}))
	}
}

// LinearKL implements backend.Backend.
func (b *Backend) LinearKL(loss, dh, dw, h, w, ht, wt, _ backend.Tensor, _ backend.KL) {
	b.wrote(loss, dh, dw)
	if b.opt.CUDA {
		b.takes(b.head([2]backend.Tensor{h, w}, [2]backend.Tensor{ht, wt}))
	}
}

// SumSquares implements backend.Backend.
func (b *Backend) SumSquares(dst, _ backend.Tensor) { b.wrote(dst) }

// AdamW implements backend.Backend.
func (b *Backend) AdamW(p, _, m, v, _ backend.Tensor, _ backend.AdamW) { b.wrote(p, m, v) }
