package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// ImageFeatures runs the vision tower and the projector over the images of b:
// [the images' placeholders, d]. Nothing is recorded for the parts that are
// not trained.
func (m *Model) ImageFeatures(t *tape.Tape, b *Batch) tape.Var {
	t.UseAdapter(m.adapterOn)
	was := t.SetGrad(t.Grad() && m.towerTrained)
	mark := t.Mark()
	f := t.Release(mark, b.vision.tower(t, b))
	t.SetGrad(was && (m.towerTrained || m.projectorTrained))
	mark = t.Mark()
	x := t.Release(mark, b.vision.project(t, b, f))
	t.SetGrad(was)
	return x
}

// Logits are the unnormalised log-probabilities of the token after each of the
// given final hidden states, F32 [rows, vocab]. They are valid until the tape's
// Reset.
func (m *Model) Logits(t *tape.Tape, hidden backend.Tensor) backend.Tensor {
	out := t.ScratchF32(hidden.Rows, m.Config.Text.VocabSize)
	m.be.MatMul(out, hidden, m.Head().Value, backend.MatMul{TransB: true, Alpha: 1})
	return out
}

// segment runs a layer, with recomputation where that is asked for.
func (m *Model) segment(t *tape.Tape, x tape.Var, s tape.Segment) tape.Var {
	if m.Recompute {
		return t.Checkpoint(x, s)
	}
	return s.Forward(t, x)
}

// Hidden runs the model over b and returns the final hidden states after the
// last norm, [tokens, d]. Where b has images and b.Features is not given, it
// computes them.
func (m *Model) Hidden(t *tape.Tape, b *Batch) tape.Var {
	return m.decode(t, b, nil)
}

// decode is Hidden with an optional cache that receives keys and values.
func (m *Model) decode(t *tape.Tape, b *Batch, cache *kvCache) tape.Var {
	c := &m.Config.Text
	var features tape.Var
	if b.images > 0 {
		if b.Features.IsZero() {
			features = m.ImageFeatures(t, b)
		} else {
			features = t.Input(b.Features, false)
		}
	}
	t.UseAdapter(m.adapterOn)
	t.SetRows(b.rows)
	x := t.Embedding(m.text.Embed, b.ids)
	if features != 0 {
		x = t.Merge(x, features, b.imageRows)
	}
	b.pass = decoderPass{
		cfg: c, cos: b.cos, sin: b.sin, cache: cache, slots: b.slots,
		attn: backend.Attention{
			Q: b.seqs, KV: b.seqs, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
			Scale: float32(invSqrt(c.HeadDim)), Causal: true,
		},
	}
	if cache != nil {
		b.pass.attn.KV = b.cached
	}
	for n := range b.segments {
		s := &b.segments[n]
		*s = segment{&m.text.Layers[n], &b.pass, n}
		x = m.segment(t, x, s)
	}
	return t.RMSNorm(x, m.text.Norm.W, float32(c.RMSNormEps))
}
