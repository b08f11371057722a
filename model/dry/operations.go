package dry

import "vgid/model/backend"

// The operations of backend.Backend, none of which does anything.

// Upload implements backend.Backend.
func (b *Backend) Upload(_ backend.Tensor, _ []float32) {}

// UploadInts implements backend.Backend.
func (b *Backend) UploadInts(_ backend.Tensor, _ []int32) {}

// Fill implements backend.Backend.
func (b *Backend) Fill(_ backend.Tensor, _ float32) {}

// Copy implements backend.Backend.
func (b *Backend) Copy(_, _ backend.Tensor) {}

// Add implements backend.Backend.
func (b *Backend) Add(_, _, _ backend.Tensor) {}

// Axpy implements backend.Backend.
func (b *Backend) Axpy(_ backend.Tensor, _ float32, _ backend.Tensor) {}

// Scale implements backend.Backend.
func (b *Backend) Scale(_ backend.Tensor, _ float32) {}

// MatMul implements backend.Backend.
func (b *Backend) MatMul(_, _, _ backend.Tensor, _ backend.MatMul) {}

// SumRows implements backend.Backend.
func (b *Backend) SumRows(_, _ backend.Tensor) {}

// GatherRows implements backend.Backend.
func (b *Backend) GatherRows(_, _, _ backend.Tensor) {}

// ScatterRows implements backend.Backend.
func (b *Backend) ScatterRows(_, _, _ backend.Tensor) {}

// ScatterAddRows implements backend.Backend.
func (b *Backend) ScatterAddRows(_, _, _ backend.Tensor) {}

// RMSNorm implements backend.Backend.
func (b *Backend) RMSNorm(_, _, _, _ backend.Tensor, _ float32) {}

// RMSNormBackward implements backend.Backend.
func (b *Backend) RMSNormBackward(_, _, _, _, _, _ backend.Tensor) {}

// LayerNorm implements backend.Backend.
func (b *Backend) LayerNorm(_, _, _, _, _ backend.Tensor, _ float32) {}

// LayerNormBackward implements backend.Backend.
func (b *Backend) LayerNormBackward(_, _, _, _, _, _, _ backend.Tensor) {}

// Activate implements backend.Backend.
func (b *Backend) Activate(_, _ backend.Tensor, _ backend.Activation) {}

// ActivateBackward implements backend.Backend.
func (b *Backend) ActivateBackward(_, _, _ backend.Tensor, _ backend.Activation) {}

// SwiGLU implements backend.Backend.
func (b *Backend) SwiGLU(_, _, _ backend.Tensor) {}

// SwiGLUBackward implements backend.Backend.
func (b *Backend) SwiGLUBackward(_, _, _, _, _ backend.Tensor) {}

// Dropout implements backend.Backend.
func (b *Backend) Dropout(_, _ backend.Tensor, _ float32, _ backend.Key, _ backend.Tensor) {}

// Random implements backend.Backend.
func (b *Backend) Random(_ backend.Tensor, _ backend.Distribution, _ backend.Key, _ backend.Tensor) {}

// RoPE implements backend.Backend.
func (b *Backend) RoPE(_, _, _ backend.Tensor, _ int, _ bool) {}

// Attention implements backend.Backend.
func (b *Backend) Attention(_, _, _, _, _ backend.Tensor, _ backend.Attention) {}

// AttentionBackward implements backend.Backend.
func (b *Backend) AttentionBackward(_, _, _, _, _, _, _, _, _ backend.Tensor, _ backend.Attention) {}

// Patchify implements backend.Backend.
func (b *Backend) Patchify(_, _ backend.Tensor, _, _, _, _ int) {}

// ArgMax implements backend.Backend.
func (b *Backend) ArgMax(_, _ backend.Tensor) {}

// LinearCE implements backend.Backend.
func (b *Backend) LinearCE(_, _, _, _, _, _, _ backend.Tensor) {}

// LinearKL implements backend.Backend.
func (b *Backend) LinearKL(_, _, _, _, _, _, _, _ backend.Tensor, _ backend.KL) {}

// SumSquares implements backend.Backend.
func (b *Backend) SumSquares(_, _ backend.Tensor) {}

// AdamW implements backend.Backend.
func (b *Backend) AdamW(_, _, _, _, _ backend.Tensor, _ backend.AdamW) {}
