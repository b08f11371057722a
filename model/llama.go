package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// llama is the decoder of Touvron et al. (2023).
type llama struct {
	Embed  *tape.Param  `hf:"model.embed_tokens.weight" dims:"vocab,d" std:"0.05"`
	Layers []llamaLayer `hf:"model.layers"`
	Norm   norm         `hf:"model.norm" dims:"d"`
	Head   *tape.Param  `hf:"lm_head.weight" dims:"vocab,d" std:"0.05" unless:"tied"`
}

type llamaLayer struct {
	InputNorm norm        `hf:"input_layernorm" dims:"d"`
	QKV       tape.Linear `hf:"self_attn.{q_proj,k_proj,v_proj}" dims:"q+kv+kv,d" bias:"qkv_bias"`
	O         tape.Linear `hf:"self_attn.o_proj" dims:"d,q" bias:"attention_bias" init:"half"`
	PostNorm  norm        `hf:"post_attention_layernorm" dims:"d"`
	GateUp    tape.Linear `hf:"mlp.{gate_proj,up_proj}" dims:"f+f,d" bias:"mlp_bias"`
	Down      tape.Linear `hf:"mlp.down_proj" dims:"d,f" bias:"mlp_bias" init:"half"`
}

func (t *TextConfig) dims(m map[string]int) {
	m["vocab"], m["d"], m["f"] = t.VocabSize, t.HiddenSize, t.IntermediateSize
	m["q"], m["kv"] = t.Heads*t.HeadDim, t.KVHeads*t.HeadDim
	m["attention_bias"], m["qkv_bias"] = flag(t.AttentionBias), flag(t.AttentionBias || t.QKVBias)
	m["mlp_bias"], m["tied"] = flag(t.MLPBias), flag(t.TieEmbeddings)
}

// decoderPass is what the layers of one pass share.
type decoderPass struct {
	cfg      *TextConfig
	cos, sin backend.Tensor
	attn     backend.Attention
	cache    *kvCache       // nil outside generation
	slots    backend.Tensor // rows of the cache the new keys go to
}

// segment is a layer with its pass, for recomputation.
type segment struct {
	layer *llamaLayer
	pass  *decoderPass
	n     int
}

// Forward runs the layer on the residual stream x [T, d].
func (s *segment) Forward(t *tape.Tape, x tape.Var) tape.Var {
	l, p := s.layer, s.pass
	mark := t.Mark()
	eps := float32(p.cfg.RMSNormEps)
	qkv := t.Linear(t.RMSNorm(x, l.InputNorm.W, eps), &l.QKV)
	a := &p.attn
	t.RoPE(qkv, 0, (a.Heads+a.KVHeads)*a.HeadDim, a.Heads+a.KVHeads, p.cos, p.sin)
	var o tape.Var
	if p.cache != nil {
		o = t.CachedAttention(qkv, p.cache.keys[s.n], p.cache.values[s.n], p.slots, *a)
	} else {
		o = t.Attention(qkv, *a)
	}
	x = t.Release(mark, t.Residual(x, t.Linear(o, &l.O)))
	mark = t.Mark()
	h := t.SwiGLU(t.Linear(t.RMSNorm(x, l.PostNorm.W, eps), &l.GateUp))
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.Down)))
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
