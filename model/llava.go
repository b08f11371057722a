package model

import (
	"fmt"
	"reflect"
	"strings"

	"vgid/model/backend"
	"vgid/model/tape"
)

// llava is LLaVA-1.5 (Liu et al. 2024): a CLIP tower, a two-layer projector
// and a LLaMA decoder, under the names transformers 4 writes to files.
type llava struct {
	Vision clip        `hf:"vision_tower.vision_model"`
	Linear tape.Linear `hf:"multi_modal_projector.linear_1" dims:"d,features" bias:"projector_bias"`
	Out    tape.Linear `hf:"multi_modal_projector.linear_2" dims:"d,d" bias:"projector_bias"`
	Text   llama       `hf:"language_model"`
}

// declare builds the structs of the model c describes, without memory.
func declare(c *Config) (*llava, *walker, error) {
	net := &llava{}
	net.Vision.Layers = make([]clipLayer, c.Vision.Layers)
	net.Text.Layers = make([]llamaLayer, c.Text.Layers)
	w := &walker{dims: map[string]int{
		"features":       c.Vision.HiddenSize * len(c.FeatureLayers),
		"projector_bias": flag(c.ProjectorBias),
	}}
	c.Text.dims(w.dims)
	c.Vision.dims(w.dims)
	if err := w.walk(reflect.ValueOf(net).Elem(), ""); err != nil {
		return nil, nil, err
	}
	if c.Text.TieEmbeddings {
		net.Text.Head = net.Text.Embed
	}
	return net, w, nil
}

// visionDepth is how many layers of the tower the features need.
func (c *Config) visionDepth() int {
	depth := 0
	for _, l := range c.FeatureLayers {
		depth = max(depth, c.hiddenState(l))
	}
	return depth
}

// hiddenState counts the outputs of the tower from 0, the input of its first
// layer.
func (c *Config) hiddenState(featureLayer int) int {
	if featureLayer < 0 {
		return featureLayer + c.Vision.Layers + 1
	}
	return featureLayer
}

// idle reports whether the forward pass never reads the weight: what follows
// the layer the features come from.
func (c *Config) idle(name string) bool {
	rest, ok := strings.CutPrefix(name, "vision_tower.vision_model.")
	if !ok {
		return false
	}
	if strings.HasPrefix(rest, "post_layernorm.") {
		return true
	}
	var layer int
	n, _ := fmt.Sscanf(rest, "encoder.layers.%d.", &layer)
	return n == 1 && layer >= c.visionDepth()
}

// ImageFeatures runs the vision tower and the projector over the images of b:
// [images·NumImageTokens(), d]. Nothing is recorded for the parts that are not
// trained.
func (m *Model) ImageFeatures(t *tape.Tape, b *Batch) tape.Var {
	t.UseAdapter(m.adapterOn)
	was := t.SetGrad(t.Grad() && m.towerTrained)
	mark := t.Mark()
	f := t.Release(mark, m.towerFeatures(t, b))
	t.SetGrad(was && (m.towerTrained || m.projectorTrained))
	mark = t.Mark()
	x := t.Activate(t.Linear(f, &m.net.Linear), activations[m.Config.ProjectorAct])
	x = t.Release(mark, t.Linear(x, &m.net.Out))
	t.SetGrad(was)
	return x
}

// towerFeatures are the outputs of the selected layers side by side,
// [images·NumImageTokens(), features].
func (m *Model) towerFeatures(t *tape.Tape, b *Batch) tape.Var {
	c := m.Config
	t.SetRows(b.visionRows)
	x := m.net.Vision.embed(t, &c.Vision, b)
	b.features = append(b.features[:0], make([]tape.Var, len(c.FeatureLayers))...)
	for n := 0; ; n++ {
		for i, l := range c.FeatureLayers {
			if c.hiddenState(l) == n {
				b.features[i] = t.Gather(x, b.featureRows)
			}
		}
		if n == c.visionDepth() {
			break
		}
		s := &b.visionSegments[n]
		*s = visionSegment{&m.net.Vision.Layers[n], &c.Vision, b.visionAttention}
		x = m.segment(t, x, s)
	}
	t.SetRows(b.projectorRows)
	if len(b.features) == 1 {
		return b.features[0]
	}
	return t.Concat(b.features)
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
	x := t.Embedding(m.net.Text.Embed, b.ids)
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
		*s = segment{&m.net.Text.Layers[n], &b.pass, n}
		x = m.segment(t, x, s)
	}
	return t.RMSNorm(x, m.net.Text.Norm.W, float32(c.RMSNormEps))
}
