package kernels

import (
	"fmt"

	"vgid/model/backend"
)

const (
	attentionTail = "q@ k@ v@ q_seqs@ kv_seqs@ group:i32"
	attentionAny  = " dim:i32 scale:f32 causal:i32"
	attentionBF16 = " scale:f32 causal:i32"
	attentionDoc  = " q_seqs and kv_seqs are i32 [sequences, 2]: start, length. group = heads / kv_heads. "
	gradientDoc   = " lse is the forward pass's, delta is attention_delta's." + attentionDoc
	tensorCoreDoc = "The same for bf16 on the tensor cores. Operands but lse on 16 bytes, strides multiples of 8, scale > 0." + attentionDoc
)

var attention = func() []Kernel {
	all := []Kernel{
		{"attention_any", "attention_any", "o@ lse@ " + attentionTail + attentionAny, 128,
			"o = softmax(scale·q·kᵀ)·v, any head size and type; lse may be 0." + attentionDoc + "AttentionPlan.Forward."},
		{"attention_delta", "attention_any", "delta* do@ o@ rows:i32 heads:i32 dim:i32", 256,
			"delta[row, head] = Σ do·o over a head: f32 [rows of q, heads], scratch of the backward pass. RowsByWarp(rows·heads)."},
		{"attention_dq_any", "attention_any", "dq@ do@ lse@ delta* " + attentionTail + attentionAny, 128,
			"The gradient of q." + gradientDoc + "AttentionPlan.DQ."},
		{"attention_dkv_any", "attention_any", "dk@ dv@ do@ lse@ delta* " + attentionTail + attentionAny, 128,
			"The gradients of k and v." + gradientDoc + "AttentionPlan.DKV."},
	}
	for _, dim := range tensorCoreDims {
		name := func(what string) string { return fmt.Sprintf("attention_%sbf16_%d", what, dim) }
		all = append(all,
			Kernel{name(""), "attention_bf16", "o@ lse@ " + attentionTail + attentionBF16, 128, tensorCoreDoc + "AttentionPlan.Forward."},
			Kernel{name("dq_"), "attention_bf16_dq", "dq@ do@ lse@ delta* " + attentionTail + attentionBF16, 128, tensorCoreDoc + "AttentionPlan.DQ."},
			Kernel{name("dkv_"), "attention_bf16_dkv", "dk@ dv@ do@ lse@ delta* " + attentionTail + attentionBF16, 128, tensorCoreDoc + "AttentionPlan.DKV."})
	}
	return all
}()

// tensorCoreDims are the head sizes that the bf16 kernels are made for.
var tensorCoreDims = []int{64, 80, 128}

// Attention is the shape of an attention: the longest sequences decide the grid.
type Attention struct {
	Heads, KVHeads, HeadDim int
	Sequences               int
	MaxQ, MaxKV             int // longest
	// TensorCores asks for the bf16 kernels: all operands but lse are bf16, lie on
	// 16 bytes with strides that are multiples of 8, and the scale is positive.
	TensorCores bool
}

// AttentionPlan is how an attention is launched: a kernel with its geometry for
// the output, the gradient of q, and the gradients of k and v.
type AttentionPlan struct {
	ForwardKernel, DQKernel, DKVKernel string
	Forward, DQ, DKV                   Geometry
	Dim                                bool // dim is a parameter
}

// PlanAttention picks the kernels. Nothing is launched where a grid has no
// blocks. The shared memory must be allowed: more than 48 KiB needs the opt-in,
// and devices end at 227 KiB (sm_90), 163 (sm_80) or 99 (sm_120).
func PlanAttention(s Attention) AttentionPlan {
	grid := func(longest, tile, heads int) [3]int { return [3]int{(longest + tile - 1) / tile, heads, s.Sequences} }
	block := [3]int{128, 1, 1}
	for _, dim := range tensorCoreDims {
		if !s.TensorCores || s.HeadDim != dim {
			continue
		}
		name := func(what string) string { return fmt.Sprintf("attention_%sbf16_%d", what, dim) }
		row := (dim/8 | 1) * 8 * backend.BF16.Size() // an odd number of 16 bytes
		gradient := (2*64 + 4*32) * row              // two tiles of its own, two stages of two that pass by
		return AttentionPlan{
			ForwardKernel: name(""), DQKernel: name("dq_"), DKVKernel: name("dkv_"),
			Forward: Geometry{grid(s.MaxQ, 64, s.Heads), block, 2 * 64 * row},
			DQ:      Geometry{grid(s.MaxQ, 64, s.Heads), block, gradient},
			DKV:     Geometry{grid(s.MaxKV, 64, s.KVHeads), block, gradient + 512}, // lse and delta of 64 queries
		}
	}
	dim, odd := s.HeadDim, s.HeadDim|1
	return AttentionPlan{
		ForwardKernel: "attention_any", DQKernel: "attention_dq_any", DKVKernel: "attention_dkv_any",
		Forward: Geometry{grid(s.MaxQ, 16, s.Heads), block, 4 * (32*dim + 32*odd + 512)},
		DQ:      Geometry{grid(s.MaxQ, 16, s.Heads), block, 4 * (48*dim + 32*odd + 512)},
		DKV:     Geometry{grid(s.MaxKV, 32, s.KVHeads), block, 4 * (96*dim + 64*odd + 1024)},
		Dim:     true,
	}
}

// RowsByWarp gives n rows a warp each.
func RowsByWarp(n int) Geometry {
	return Geometry{Grid: [3]int{min((n+7)/8, 1<<16), 1, 1}, Block: [3]int{256, 1, 1}}
}
