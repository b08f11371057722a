package dry

import "vgid/model/backend"

// The operations of backend.Operations: each notes what it would write to, and
// what workspace it would take where it takes any.

// Upload implements backend.Device.
func (b *Device) Upload(dst backend.Tensor, _ []float32) { b.wrote(dst) }

// UploadInts implements backend.Device.
func (b *Device) UploadInts(dst backend.Tensor, _ []int32) { b.wrote(dst) }

// Fill implements backend.Device.
func (b *Device) Fill(dst backend.Tensor, _ float32) { b.wrote(dst) }

// Copy implements backend.Device.
func (b *Device) Copy(dst, _ backend.Tensor) { b.wrote(dst) }

// Add implements backend.Device.
func (b *Device) Add(dst, _, _ backend.Tensor) { b.wrote(dst) }

// Axpy implements backend.Device.
func (b *Device) Axpy(y backend.Tensor, _ float32, _ backend.Tensor) { b.wrote(y) }

// Scale implements backend.Device.
func (b *Device) Scale(x backend.Tensor, _ float32) { b.wrote(x) }

// MatMul implements backend.Device.
func (b *Device) MatMul(c, x, y backend.Tensor, _ backend.MatMul) {
	b.wrote(c)
	if b.opt.Workspace {
		b.takes(b.product(c, x, y))
	}
}

// SumRows implements backend.Device.
func (b *Device) SumRows(dst, _ backend.Tensor) { b.wrote(dst) }

// GatherRows implements backend.Device.
func (b *Device) GatherRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// ScatterRows implements backend.Device.
func (b *Device) ScatterRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// ScatterAddRows implements backend.Device.
func (b *Device) ScatterAddRows(dst, _, _ backend.Tensor) { b.wrote(dst) }

// RMSNorm implements backend.Device.
func (b *Device) RMSNorm(y, rstd, _, _ backend.Tensor, _ float32) { b.wrote(y, rstd) }

// RMSNormBackward implements backend.Device.
func (b *Device) RMSNormBackward(dx, dw, _, _, _, _ backend.Tensor) { b.wrote(dx, dw) }

// LayerNorm implements backend.Device.
func (b *Device) LayerNorm(y, stats, _, _, _ backend.Tensor, _ float32) { b.wrote(y, stats) }

// LayerNormBackward implements backend.Device.
func (b *Device) LayerNormBackward(dx, dw, db, _, _, _, _ backend.Tensor) { b.wrote(dx, dw, db) }

// Activate implements backend.Device.
func (b *Device) Activate(y, _ backend.Tensor, _ backend.Activation) { b.wrote(y) }

// ActivateBackward implements backend.Device.
func (b *Device) ActivateBackward(dx, _, _ backend.Tensor, _ backend.Activation) { b.wrote(dx) }

// SwiGLU implements backend.Device.
func (b *Device) SwiGLU(y, _, _ backend.Tensor) { b.wrote(y) }

// SwiGLUBackward implements backend.Device.
func (b *Device) SwiGLUBackward(dgate, dup, _, _, _ backend.Tensor) { b.wrote(dgate, dup) }

// Dropout implements backend.Device.
func (b *Device) Dropout(y, _ backend.Tensor, _ float32, _ backend.Key, _ backend.Tensor) {
	b.wrote(y)
}

// Random implements backend.Device.
func (b *Device) Random(dst backend.Tensor, _ backend.Distribution, _ backend.Key, _ backend.Tensor) {
	b.wrote(dst)
}

// RoPE implements backend.Device.
func (b *Device) RoPE(x, _, _ backend.Tensor, _ int, _ bool) { b.wrote(x) }

// Attention implements backend.Device.
func (b *Device) Attention(o, lse, _, _, _ backend.Tensor, _ backend.Attention) { b.wrote(o, lse) }

// AttentionBackward implements backend.Device.
func (b *Device) AttentionBackward(dq, dk, dv, _, _, _, q, _, _ backend.Tensor, p backend.Attention) {
	b.wrote(dq, dk, dv)
	if b.opt.Workspace {
		b.takes(int64(4 * q.Rows * p.Heads))
	}
}

// Patchify implements backend.Device.
func (b *Device) Patchify(dst, _ backend.Tensor, _, _, _, _ int) { b.wrote(dst) }

// ArgMax implements backend.Device.
func (b *Device) ArgMax(dst, _ backend.Tensor) { b.wrote(dst) }

// LinearCE implements backend.Device.
func (b *Device) LinearCE(loss, dh, dw, h, w, _, _ backend.Tensor) {
	b.wrote(loss, dh, dw)
	if b.opt.Workspace {
		b.takes(b.head([2]backend.Tensor{h, w}))
	}
}

// LinearKL implements backend.Device.
func (b *Device) LinearKL(loss, dh, dw, h, w, ht, wt, _ backend.Tensor, _ backend.KL) {
	b.wrote(loss, dh, dw)
	if b.opt.Workspace {
		b.takes(b.head([2]backend.Tensor{h, w}, [2]backend.Tensor{ht, wt}))
	}
}

// SumSquares implements backend.Device.
func (b *Device) SumSquares(dst, _ backend.Tensor) { b.wrote(dst) }

// AdamW implements backend.Device.
func (b *Device) AdamW(p, _, m, v, _ backend.Tensor, _ backend.AdamW) { b.wrote(p, m, v) }
