package model

import (
	"vgid/model/backend"
	"vgid/model/nn"
	"vgid/model/tape"
)

// ImageFeatures runs the vision tower and the projector over the images of b:
// [the images' placeholders, d]. Nothing is recorded for the parts that are
// not trained.
func (v View) ImageFeatures(t *tape.Tape, b *Batch) tape.Var {
	m := v.m
	was := v.begin(t)
	grad := t.SetGrad(t.Grad() && m.TowerTrained)
	mark := t.Mark()
	f := t.Release(mark, b.vision.Tower(nn.Pass{Tape: t, Recompute: m.Recompute}, b.pixels))
	t.SetGrad(grad && (m.TowerTrained || m.ProjectorTrained))
	mark = t.Mark()
	x := t.Release(mark, b.vision.Project(t, f))
	t.SetGrad(was)
	return x
}

// Logits are the unnormalised log-probabilities of the token after each of the
// given final hidden states, F32 [rows, vocab]. They are valid until the tape's
// Reset.
func (v View) Logits(t *tape.Tape, hidden backend.Tensor) backend.Tensor {
	out := t.ScratchF32(hidden.Rows, v.m.Config.Text.VocabSize)
	v.m.Backend().MatMul(out, hidden, v.head(), backend.MatMul{TransB: true, Alpha: 1})
	return out
}

// Hidden runs the model over b and returns the final hidden states after the
// last norm, [tokens, d]. Where b has images and b.Features is not given, it
// computes them.
func (v View) Hidden(t *tape.Tape, b *Batch) tape.Var {
	return v.decode(t, b, nil)
}

// decode is Hidden with an optional cache that receives keys and values.
func (v View) decode(t *tape.Tape, b *Batch, cache *nn.KVCache) tape.Var {
	m := v.m
	var features tape.Var
	if b.images > 0 {
		if b.Features.IsZero() {
			features = v.ImageFeatures(t, b)
		} else {
			features = t.Input(b.Features, false)
		}
	}
	was := v.begin(t)
	t.SetRows(b.rows)
	x := t.Embedding(m.text.Embed, b.ids)
	if features != 0 {
		x = t.Merge(x, features, b.imageRows)
	}
	d := &b.pass
	d.Cos, d.Sin, d.Cache, d.Slots = b.cos, b.sin, cache, b.slots
	d.Attn.Q, d.Attn.KV = b.seqs, b.seqs
	if cache != nil {
		d.Attn.KV = b.cached
	}
	x = m.text.Run(nn.Pass{Tape: t, Recompute: m.Recompute}, x, d, &m.Config.Text)
	t.SetGrad(was)
	return x
}
