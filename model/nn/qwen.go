package nn

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// QwenTower is a vision tower of the Qwen2-VL families, which differ in their
// blocks and norms.
type QwenTower interface {
	// PatchEmbed makes a row of every patch.
	PatchEmbed() *tape.Linear
	// Layers are the blocks in order.
	Layers() []QwenBlock
	// MergeNorm is the norm before patches are merged.
	MergeNorm(t *tape.Tape, x tape.Var) tape.Var
	// Mergers make one token of a square of patches.
	Mergers() *QwenMerger
}

// QwenBlock is a layer of such a tower.
type QwenBlock interface {
	forward(t *tape.Tape, x tape.Var, s *QwenSegment) tape.Var
}

// Qwen2Tower is the tower of Qwen2-VL (Wang et al. 2024): patches of images of
// any size, with two-dimensional rotary positions.
type Qwen2Tower struct {
	Patch  tape.Linear  `hf:"patch_embed.proj" dims:"vd,ctpp" shape:"vd,c,t,p,p"`
	Blocks []Qwen2Block `hf:"blocks"`
	Norm   Norm         `hf:"merger.ln_q" dims:"vd" bias:"1"`
	Merger QwenMerger   `hf:"merger.mlp"`
}

// Qwen2Block is attention and an MLP, each behind a norm with biases.
type Qwen2Block struct {
	Norm1 Norm        `hf:"norm1" dims:"vd" bias:"1"`
	QKV   tape.Linear `hf:"attn.qkv" dims:"3vd,vd" bias:"1"`
	O     tape.Linear `hf:"attn.proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2 Norm        `hf:"norm2" dims:"vd" bias:"1"`
	FC1   tape.Linear `hf:"mlp.fc1" dims:"vf,vd" bias:"1"`
	FC2   tape.Linear `hf:"mlp.fc2" dims:"vd,vf" bias:"1" init:"half"`
}

// Qwen25Tower is the tower of Qwen2.5-VL (Bai et al. 2025): that of Qwen2-VL
// with RMSNorm and a gated MLP.
type Qwen25Tower struct {
	Patch  tape.Linear   `hf:"patch_embed.proj" dims:"vd,ctpp" shape:"vd,c,t,p,p"`
	Blocks []Qwen25Block `hf:"blocks"`
	Norm   Norm          `hf:"merger.ln_q" dims:"vd"`
	Merger QwenMerger    `hf:"merger.mlp"`
}

// Qwen25Block is attention and a gated MLP, each behind a norm without biases.
type Qwen25Block struct {
	Norm1  Norm        `hf:"norm1" dims:"vd"`
	QKV    tape.Linear `hf:"attn.qkv" dims:"3vd,vd" bias:"1"`
	O      tape.Linear `hf:"attn.proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2  Norm        `hf:"norm2" dims:"vd"`
	GateUp tape.Linear `hf:"mlp.{gate_proj,up_proj}" dims:"vf+vf,vd" bias:"1"`
	Down   tape.Linear `hf:"mlp.down_proj" dims:"vd,vf" bias:"1" init:"half"`
}

// QwenMerger makes a token of the decoder of a square of patches.
type QwenMerger struct {
	FC1 tape.Linear `hf:"0" dims:"merged,merged" bias:"1"`
	FC2 tape.Linear `hf:"2" dims:"d,merged" bias:"1"`
}

// QwenDims adds the symbols of the towers' tags to m.
func (v *VisionConfig) QwenDims(m map[string]int) {
	m["vd"], m["3vd"], m["vf"] = v.HiddenSize, 3*v.HiddenSize, v.IntermediateSize
	m["c"], m["t"], m["p"], m["ctpp"] = v.Channels, v.TemporalSize, v.PatchSize, v.PatchValues()
	m["merged"] = v.HiddenSize * v.MergeSize * v.MergeSize
}

// qwenEps is of every norm of the towers; no config field holds it.
const qwenEps = 1e-6

// QwenSegment is a layer with what the layers of a pass share.
type QwenSegment struct {
	Block    QwenBlock
	Act      backend.Activation // of an MLP without a gate
	Cos, Sin backend.Tensor     // F32 [patches, headDim/2]
	Attn     backend.Attention
}

// Forward runs the layer on the residual stream x [patches, vd].
func (s *QwenSegment) Forward(t *tape.Tape, x tape.Var) tape.Var { return s.Block.forward(t, x, s) }

// attend is attention over normalised rows h.
func (s *QwenSegment) attend(t *tape.Tape, h tape.Var, qkv, o *tape.Linear) tape.Var {
	a := &s.Attn
	x := t.Linear(h, qkv)
	t.RoPE(x, 0, 2*a.Heads*a.HeadDim, 2*a.Heads, s.Cos, s.Sin)
	return t.Linear(t.Attention(x, *a), o)
}

func (l *Qwen2Block) forward(t *tape.Tape, x tape.Var, s *QwenSegment) tape.Var {
	mark := t.Mark()
	a := s.attend(t, t.LayerNorm(x, l.Norm1.W, l.Norm1.B, qwenEps), &l.QKV, &l.O)
	x = t.Release(mark, t.Residual(x, a))
	mark = t.Mark()
	h := t.Activate(t.Linear(t.LayerNorm(x, l.Norm2.W, l.Norm2.B, qwenEps), &l.FC1), s.Act)
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.FC2)))
}

func (l *Qwen25Block) forward(t *tape.Tape, x tape.Var, s *QwenSegment) tape.Var {
	mark := t.Mark()
	a := s.attend(t, t.RMSNorm(x, l.Norm1.W, qwenEps), &l.QKV, &l.O)
	x = t.Release(mark, t.Residual(x, a))
	mark = t.Mark()
	h := t.SwiGLU(t.Linear(t.RMSNorm(x, l.Norm2.W, qwenEps), &l.GateUp))
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.Down)))
}

// inPlace gives a tower's blocks where they lie, for their weights are registered there.
func inPlace[T any, B interface {
	*T
	QwenBlock
}](list []T) []QwenBlock {
	blocks := make([]QwenBlock, len(list))
	for i := range list {
		blocks[i] = B(&list[i])
	}
	return blocks
}

// PatchEmbed implements QwenTower.
func (n *Qwen2Tower) PatchEmbed() *tape.Linear { return &n.Patch }

// Layers implements QwenTower.
func (n *Qwen2Tower) Layers() []QwenBlock { return inPlace(n.Blocks) }

// MergeNorm implements QwenTower.
func (n *Qwen2Tower) MergeNorm(t *tape.Tape, x tape.Var) tape.Var {
	return t.LayerNorm(x, n.Norm.W, n.Norm.B, qwenEps)
}

// Mergers implements QwenTower.
func (n *Qwen2Tower) Mergers() *QwenMerger { return &n.Merger }

// PatchEmbed implements QwenTower.
func (n *Qwen25Tower) PatchEmbed() *tape.Linear { return &n.Patch }

// Layers implements QwenTower.
func (n *Qwen25Tower) Layers() []QwenBlock { return inPlace(n.Blocks) }

// MergeNorm implements QwenTower.
func (n *Qwen25Tower) MergeNorm(t *tape.Tape, x tape.Var) tape.Var {
	return t.RMSNorm(x, n.Norm.W, qwenEps)
}

// Mergers implements QwenTower.
func (n *Qwen25Tower) Mergers() *QwenMerger { return &n.Merger }
