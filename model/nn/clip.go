package nn

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// CLIP is the vision transformer of Radford et al. (2021). pre_layrnorm is
// spelled so in every checkpoint.
type CLIP struct {
	Patch    tape.Linear `hf:"embeddings.patch_embedding" dims:"vd,cpp" shape:"vd,c,p,p"`
	Class    *tape.Param `hf:"embeddings.class_embedding" dims:"1,vd" shape:"vd" std:"0.05"`
	Position *tape.Param `hf:"embeddings.position_embedding.weight" dims:"positions,vd" std:"0.05"`
	PreNorm  Norm        `hf:"pre_layrnorm" dims:"vd" bias:"1"`
	Layers   []CLIPLayer `hf:"encoder.layers"`
	// LLaVA reads the layers' outputs, so the last norm is carried through
	// files only.
	PostNorm Norm `hf:"post_layernorm" dims:"vd" bias:"1"`
}

// CLIPLayer is attention and an MLP, each behind a norm.
type CLIPLayer struct {
	Norm1 Norm        `hf:"layer_norm1" dims:"vd" bias:"1"`
	QKV   tape.Linear `hf:"self_attn.{q_proj,k_proj,v_proj}" dims:"vd+vd+vd,vd" bias:"1"`
	O     tape.Linear `hf:"self_attn.out_proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2 Norm        `hf:"layer_norm2" dims:"vd" bias:"1"`
	FC1   tape.Linear `hf:"mlp.fc1" dims:"vf,vd" bias:"1"`
	FC2   tape.Linear `hf:"mlp.fc2" dims:"vd,vf" bias:"1" init:"half"`
}

// CLIPDims adds the symbols of the tower's tags to m.
func (v *VisionConfig) CLIPDims(m map[string]int) {
	m["vd"], m["vf"] = v.HiddenSize, v.IntermediateSize
	m["c"], m["p"], m["cpp"] = v.Channels, v.PatchSize, v.Channels*v.PatchSize*v.PatchSize
	m["positions"] = v.Patches() + 1
}

// CLIPSegment is a layer with what the layers of a pass share.
type CLIPSegment struct {
	Layer *CLIPLayer
	Act   backend.Activation
	Eps   float32 // of every norm
	Attn  backend.Attention
}

// Forward runs the layer on the residual stream x [images·(patches+1), vd].
func (s *CLIPSegment) Forward(t *tape.Tape, x tape.Var) tape.Var {
	l := s.Layer
	mark := t.Mark()
	qkv := t.Linear(t.LayerNorm(x, l.Norm1.W, l.Norm1.B, s.Eps), &l.QKV)
	x = t.Release(mark, t.Residual(x, t.Linear(t.Attention(qkv, s.Attn), &l.O)))
	mark = t.Mark()
	h := t.Activate(t.Linear(t.LayerNorm(x, l.Norm2.W, l.Norm2.B, s.Eps), &l.FC1), s.Act)
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.FC2)))
}
