//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/kernels"
)

// Attention implements backend.Backend.
func (b *Backend) Attention(o, lse, q, k, v backend.Tensor, p backend.Attention) {
	const op = "attention"
	if !b.ready(backend.CheckAttention(o, lse, q, k, v, p)) {
		return
	}
	defer b.done()
	out, stat := b.operand(op, o), b.operand(op, lse)
	x, y, z := b.operand(op, q), b.operand(op, k), b.operand(op, v)
	qs, ks := b.seqs(op, p.Q), b.seqs(op, p.KV)
	plan := planAttention(p, out, x, y, z)
	if b.err == nil && blocks(plan.Forward) {
		b.begin().mat(out, stat, x, y, z, qs, ks)
		b.attentionTail(p, plan)
		b.launch(plan.ForwardKernel, plan.Forward)
	}
}

// AttentionBackward implements backend.Backend.
func (b *Backend) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v backend.Tensor, p backend.Attention) {
	const op = "attention_backward"
	if !b.ready(backend.CheckAttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)) {
		return
	}
	defer b.done()
	gq, gk, gv, grad := b.operand(op, dq), b.operand(op, dk), b.operand(op, dv), b.operand(op, do)
	out, stat := b.operand(op, o), b.operand(op, lse)
	x, y, z := b.operand(op, q), b.operand(op, k), b.operand(op, v)
	qs, ks := b.seqs(op, p.Q), b.seqs(op, p.KV)
	plan := planAttention(p, gq, gk, gv, grad, out, x, y, z)
	delta := b.temp(backend.F32, x.rows*p.Heads)
	if b.err != nil {
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
func (b *Backend) attentionTail(p backend.Attention, plan kernels.AttentionPlan) {
	a := b.args.i32(p.Heads / p.KVHeads)
	if plan.Dim {
		a.i32(p.HeadDim)
	}
	a.f32(p.Scale).i32(flag(p.Causal))
}

// planAttention picks the kernels: the tensor cores take bf16 on 16 bytes.
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

func blocks(g kernels.Geometry) bool { return g.Grid[0]*g.Grid[1]*g.Grid[2] > 0 }

// seqs is the device's own copy of the sequences, made when there is none.
func (b *Backend) seqs(op string, s backend.Seqs) operand {
	if !s.Dev.IsZero() {
		return b.operand(op, s.Dev)
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
