package model

import "vgid/model/tape"

// qwen25VL is Qwen2.5-VL (Bai et al. 2025): Qwen2-VL whose tower has RMSNorm,
// a gated MLP, and attention within windows in most layers.
type qwen25VL struct {
	Vision qwen25Tower `hf:"visual"`
	Text   llama       `hf:""`
}

type qwen25Tower struct {
	Patch  tape.Linear   `hf:"patch_embed.proj" dims:"vd,ctpp" shape:"vd,c,t,p,p"`
	Blocks []qwen25Block `hf:"blocks"`
	Norm   norm          `hf:"merger.ln_q" dims:"vd"`
	Merger qwenMerger    `hf:"merger.mlp"`
}

type qwen25Block struct {
	Norm1  norm        `hf:"norm1" dims:"vd"`
	QKV    tape.Linear `hf:"attn.qkv" dims:"3vd,vd" bias:"1"`
	O      tape.Linear `hf:"attn.proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2  norm        `hf:"norm2" dims:"vd"`
	GateUp tape.Linear `hf:"mlp.{gate_proj,up_proj}" dims:"vf+vf,vd" bias:"1"`
	Down   tape.Linear `hf:"mlp.down_proj" dims:"vd,vf" bias:"1" init:"half"`
}

func (l *qwen25Block) forward(t *tape.Tape, x tape.Var, s *qwenSegment) tape.Var {
	mark := t.Mark()
	a := s.attend(t, t.RMSNorm(x, l.Norm1.W, qwenEps), &l.QKV, &l.O)
	x = t.Release(mark, t.Residual(x, a))
	mark = t.Mark()
	h := t.SwiGLU(t.Linear(t.RMSNorm(x, l.Norm2.W, qwenEps), &l.GateUp))
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.Down)))
}

func (n *qwen25VL) decoder() *llama { return &n.Text }

func (n *qwen25VL) images(m *Model) imageBatch {
	blocks := make([]qwenBlock, len(n.Vision.Blocks))
	for i := range blocks {
		blocks[i] = &n.Vision.Blocks[i]
	}
	return newQwenBatch(m, &n.Vision.Patch, blocks, n)
}

func (n *qwen25VL) norm(t *tape.Tape, x tape.Var) tape.Var {
	return t.RMSNorm(x, n.Vision.Norm.W, qwenEps)
}

func (n *qwen25VL) merger() *qwenMerger { return &n.Vision.Merger }

type qwen25VLFamily struct{ qwen2VLFamily }

func (qwen25VLFamily) declare(c *Config) (network, *walker, error) {
	net := &qwen25VL{}
	net.Vision.Blocks = make([]qwen25Block, c.Vision.Layers)
	w, err := declareQwen(c, net, &net.Text)
	return net, w, err
}
