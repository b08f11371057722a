package nn

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// Llama is the decoder of Touvron et al. (2023).
type Llama struct {
	Embed  *tape.Param  `hf:"model.embed_tokens.weight" dims:"vocab,d" std:"0.05"`
	Layers []LlamaLayer `hf:"model.layers"`
	Norm   Norm         `hf:"model.norm" dims:"d"`
	Head   *tape.Param  `hf:"lm_head.weight" dims:"vocab,d" std:"0.05" unless:"tied"`
}

// LlamaLayer is attention and a gated MLP, each behind a norm.
type LlamaLayer struct {
	InputNorm Norm        `hf:"input_layernorm" dims:"d"`
	QKV       tape.Linear `hf:"self_attn.{q_proj,k_proj,v_proj}" dims:"q+kv+kv,d" bias:"qkv_bias"`
	O         tape.Linear `hf:"self_attn.o_proj" dims:"d,q" bias:"attention_bias" init:"half"`
	PostNorm  Norm        `hf:"post_attention_layernorm" dims:"d"`
	GateUp    tape.Linear `hf:"mlp.{gate_proj,up_proj}" dims:"f+f,d" bias:"mlp_bias"`
	Down      tape.Linear `hf:"mlp.down_proj" dims:"d,f" bias:"mlp_bias" init:"half"`
}

// Dims adds the symbols of the decoder's tags to m.
func (t *TextConfig) Dims(m map[string]int) {
	m["vocab"], m["d"], m["f"] = t.VocabSize, t.HiddenSize, t.IntermediateSize
	m["q"], m["kv"] = t.Heads*t.HeadDim, t.KVHeads*t.HeadDim
	m["attention_bias"], m["qkv_bias"] = Flag(t.AttentionBias), Flag(t.AttentionBias || t.QKVBias)
	m["mlp_bias"], m["tied"] = Flag(t.MLPBias), Flag(t.TieEmbeddings)
}

// Tie makes the embedding the head, as tie_word_embeddings asks.
func (l *Llama) Tie() { l.Head = l.Embed }

// KVCache holds the keys and values of every layer, [rows, kvHeads·headDim]. A
// sequence owns a slot of consecutive rows.
type KVCache struct{ Keys, Values []backend.Tensor }

// DecoderPass is what the layers of one pass share. It keeps its memory from
// one pass to the next.
type DecoderPass struct {
	Cos, Sin backend.Tensor // F32 [tokens, headDim/2]
	Attn     backend.Attention
	Cache    *KVCache       // nil outside generation
	Slots    backend.Tensor // rows of the cache that the new keys go to

	eps      float32
	segments []llamaSegment
}

// Run is the decoder's layers and last norm over the embedded tokens x [tokens,
// d]; the sequences of d.Attn tell which rows see each other.
func (l *Llama) Run(p Pass, x tape.Var, d *DecoderPass, c *TextConfig) tape.Var {
	d.eps = float32(c.RMSNormEps)
	d.Attn.Heads, d.Attn.KVHeads, d.Attn.HeadDim = c.Heads, c.KVHeads, c.HeadDim
	d.Attn.Scale, d.Attn.Causal = float32(InvSqrt(c.HeadDim)), true
	if len(d.segments) != len(l.Layers) {
		d.segments = make([]llamaSegment, len(l.Layers))
	}
	for n := range l.Layers {
		s := &d.segments[n]
		*s = llamaSegment{&l.Layers[n], d, n}
		x = p.Layer(x, s)
	}
	return p.RMSNorm(x, l.Norm.W, d.eps)
}

// llamaSegment is a layer with its pass, for recomputation.
type llamaSegment struct {
	layer *LlamaLayer
	pass  *DecoderPass
	n     int
}

// Forward runs the layer on the residual stream x [T, d].
func (s *llamaSegment) Forward(t *tape.Tape, x tape.Var) tape.Var {
	l, p := s.layer, s.pass
	mark := t.Mark()
	qkv := t.Linear(t.RMSNorm(x, l.InputNorm.W, p.eps), &l.QKV)
	a := &p.Attn
	t.RoPE(qkv, 0, (a.Heads+a.KVHeads)*a.HeadDim, a.Heads+a.KVHeads, p.Cos, p.Sin)
	var o tape.Var
	if p.Cache != nil {
		o = t.CachedAttention(qkv, p.Cache.Keys[s.n], p.Cache.Values[s.n], p.Slots, *a)
	} else {
		o = t.Attention(qkv, *a)
	}
	x = t.Release(mark, t.Residual(x, t.Linear(o, &l.O)))
	mark = t.Mark()
	h := t.SwiGLU(t.Linear(t.RMSNorm(x, l.PostNorm.W, p.eps), &l.GateUp))
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.Down)))
}
