//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels"
)

// Attention implements backend.Device.
// Grids without blocks are not launched: the driver refuses them.
func (b *Device) Attention(o, lse, q, k, v backend.Tensor, p backend.Attention) {
	defer b.done()
	out, stat := b.operand(o), b.operand(lse)
	x, y, z := b.operand(q), b.operand(k), b.operand(v)
	qs, ks := b.seqs(p.Q), b.seqs(p.KV)
	plan := planAttention(p, out, x, y, z)
	if b.Err() == nil && blocks(plan.Forward) {
		b.begin().mat(out, stat, x, y, z, qs, ks)
		b.attentionTail(p, plan)
		b.launch(plan.ForwardKernel, plan.Forward)
	}
}

// AttentionBackward implements backend.Device.
func (b *Device) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v backend.Tensor, p backend.Attention) {
	defer b.done()
	gq, gk, gv, grad := b.operand(dq), b.operand(dk), b.operand(dv), b.operand(do)
	out, stat := b.operand(o), b.operand(lse)
	x, y, z := b.operand(q), b.operand(k), b.operand(v)
	qs, ks := b.seqs(p.Q), b.seqs(p.KV)
	plan := planAttention(p, gq, gk, gv, grad, out, x, y, z)
	// delta is Σ do·o of every row and head, which both gradients of a softmax need (Dao et al.
	// 2022, B.2); [rows, heads] F32.
	delta := b.temp(backend.F32, x.rows*p.Heads)
	if b.Err() != nil {
		return
	}
	if x.rows > 0 {
		b.begin().ptr(delta).mat(grad, out).i32(x.rows, p.Heads, p.HeadDim)
		b.launch("attention_delta", kernels.RowsByWarp(x.rows*p.Heads))
	}
	if blocks(plan.DQ) {
		b.begin().mat(gq, grad, stat).ptr(delta).mat(x, y, z, qs, ks)
		b.attentionTail(p, plan)
		b.launch(plan.DQKernel, plan.DQ)
	}
	if blocks(plan.DKV) {
		b.begin().mat(gk, gv, grad, stat).ptr(delta).mat(x, y, z, qs, ks)
		b.attentionTail(p, plan)
		b.launch(plan.DKVKernel, plan.DKV)
	}
}

// attentionTail fills in the parameters that all kernels of attention end with.
// A kernel for one head size has it compiled in and takes no parameter for it.
func (b *Device) attentionTail(p backend.Attention, plan kernels.AttentionPlan) {
	a := b.args.i32(p.Heads / p.KVHeads)
	if plan.Dim {
		a.i32(p.HeadDim)
	}
	a.f32(p.Scale).i32(flag(p.Causal))
}

// planAttention picks the kernels: the tensor cores take bf16 on 16 bytes.
// A scale that is not positive would let the maximum of the scores and that of the products differ.
func planAttention(p backend.Attention, os ...operand) kernels.AttentionPlan {
	tensorCores := p.Scale > 0
	for _, o := range os {
		tensorCores = tensorCores && o.dt == backend.BF16 && o.ptr%16 == 0 && o.stride%8 == 0
	}
	return kernels.PlanAttention(kernels.Attention{
		Heads: p.Heads, KVHeads: p.KVHeads, HeadDim: p.HeadDim,
		Sequences: p.Q.N(), MaxQ: p.Q.MaxLen(), MaxKV: p.KV.MaxLen(), TensorCores: tensorCores,
	})
}

// blocks reports whether a grid has any.
func blocks(g kernels.Geometry) bool { return g.Grid[0]*g.Grid[1]*g.Grid[2] > 0 }

// seqs is the device's own copy of the sequences, made when there is none.
func (b *Device) seqs(s backend.Seqs) operand {
	if !s.Dev.IsZero() {
		return b.operand(s.Dev)
	}
	n := s.N()
	t := dense(b.temp(backend.I32, 2*n), backend.I32, n, 2)
	host := make([]int32, 0, 2*n)
	for i := range s.Start {
		host = append(host, s.Start[i], s.Len[i])
	}
	b.stageTemp(t.ptr, bytesOf(host))
	return t
}
