package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// clip is the vision transformer of Radford et al. (2021). pre_layrnorm is
// spelled so in every checkpoint.
type clip struct {
	Patch    tape.Linear `hf:"embeddings.patch_embedding" dims:"vd,cpp" shape:"vd,c,p,p"`
	Class    *tape.Param `hf:"embeddings.class_embedding" dims:"1,vd" shape:"vd" std:"0.05"`
	Position *tape.Param `hf:"embeddings.position_embedding.weight" dims:"positions,vd" std:"0.05"`
	PreNorm  norm        `hf:"pre_layrnorm" dims:"vd" bias:"1"`
	Layers   []clipLayer `hf:"encoder.layers"`
	// LLaVA reads the layers' outputs, so the last norm is carried through
	// files only.
	PostNorm norm `hf:"post_layernorm" dims:"vd" bias:"1"`
}

type clipLayer struct {
	Norm1 norm        `hf:"layer_norm1" dims:"vd" bias:"1"`
	QKV   tape.Linear `hf:"self_attn.{q_proj,k_proj,v_proj}" dims:"vd+vd+vd,vd" bias:"1"`
	O     tape.Linear `hf:"self_attn.out_proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2 norm        `hf:"layer_norm2" dims:"vd" bias:"1"`
	FC1   tape.Linear `hf:"mlp.fc1" dims:"vf,vd" bias:"1"`
	FC2   tape.Linear `hf:"mlp.fc2" dims:"vd,vf" bias:"1" init:"half"`
}

// clipPatches is the number of patches of an image.
func (v *VisionConfig) clipPatches() int {
	n := v.ImageSize / v.PatchSize
	return n * n
}

func (v *VisionConfig) clipDims(m map[string]int) {
	m["vd"], m["vf"] = v.HiddenSize, v.IntermediateSize
	m["c"], m["p"], m["cpp"] = v.Channels, v.PatchSize, v.Channels*v.PatchSize*v.PatchSize
	m["positions"] = v.clipPatches() + 1
}

// clipSegment is a layer with what the layers of a pass share.
type clipSegment struct {
	layer *clipLayer
	cfg   *VisionConfig
	attn  backend.Attention
}

// Forward runs the layer on the residual stream x [images·(patches+1), vd].
func (s *clipSegment) Forward(t *tape.Tape, x tape.Var) tape.Var {
	l, eps := s.layer, float32(s.cfg.LayerNormEps)
	mark := t.Mark()
	qkv := t.Linear(t.LayerNorm(x, l.Norm1.W, l.Norm1.B, eps), &l.QKV)
	x = t.Release(mark, t.Residual(x, t.Linear(t.Attention(qkv, s.attn), &l.O)))
	mark = t.Mark()
	h := t.Activate(t.Linear(t.LayerNorm(x, l.Norm2.W, l.Norm2.B, eps), &l.FC1), activations[s.cfg.Act])
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.FC2)))
}
