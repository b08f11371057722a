package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// clipBatch is what LLaVA's tower reads of a batch. Each image is a sequence
// of its own: the class token, then the patches.
type clipBatch struct {
	net *llava
	m   *Model

	patchRows, classRows, positionRows    backend.Tensor // I32
	featureRows, towerRows, projectorRows backend.Tensor
	attn                                  backend.Attention
	start, len                            []int32
	segments                              []clipSegment
	features                              []tape.Var
}

func newClipBatch(net *llava, m *Model) *clipBatch {
	return &clipBatch{net: net, m: m, segments: make([]clipSegment, m.Config.visionDepth())}
}

func (v *clipBatch) stage(b *Batch, seqs []Sequence) {
	c := v.m.Config
	images, patches := int32(b.images), int32(c.Vision.clipPatches())
	rows := patches + 1
	b.begin(&v.patchRows, 1)
	for i := range images {
		b.put(-1)
		for p := range patches {
			b.put(i*patches + p)
		}
	}
	b.begin(&v.classRows, 1)
	for range images {
		b.put(0)
		for range patches {
			b.put(-1)
		}
	}
	b.begin(&v.positionRows, 1)
	for range images {
		for p := range rows {
			b.put(p)
		}
	}
	skip := rows - patches
	if c.FeatureSelect == "full" {
		skip = 0
	}
	b.begin(&v.featureRows, 1)
	for i := range images {
		for p := skip; p < rows; p++ {
			b.put(i*rows + p)
		}
	}
	b.begin(&v.towerRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Images)) * rows {
			b.put(int32(seqs[i].Sample), p)
		}
	}
	b.begin(&v.projectorRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Images)) * (rows - skip) {
			b.put(int32(seqs[i].Sample), p)
		}
	}
	v.start, v.len = v.start[:0], v.len[:0]
	for i := range images {
		v.start, v.len = append(v.start, i*rows), append(v.len, rows)
	}
	v.attn.Q = b.sequences(v.start, v.len, &v.attn.Q.Dev)
	v.attn.Heads, v.attn.KVHeads, v.attn.HeadDim = c.Vision.Heads, c.Vision.Heads, c.Vision.HiddenSize/c.Vision.Heads
	v.attn.Scale = float32(invSqrt(v.attn.HeadDim))
}

// tower gives the outputs of the selected layers side by side, [images'
// placeholders, features].
func (v *clipBatch) tower(t *tape.Tape, b *Batch) tape.Var {
	c := v.m.Config
	t.SetRows(v.towerRows)
	v.attn.KV = v.attn.Q
	x := v.embed(t, b)
	v.features = append(v.features[:0], make([]tape.Var, len(c.FeatureLayers))...)
	for n := 0; ; n++ {
		for i, l := range c.FeatureLayers {
			if c.hiddenState(l) == n {
				v.features[i] = t.Gather(x, v.featureRows)
			}
		}
		if n == c.visionDepth() {
			break
		}
		s := &v.segments[n]
		*s = clipSegment{&v.net.Vision.Layers[n], &c.Vision, v.attn}
		x = v.m.segment(t, x, s)
	}
	if len(v.features) == 1 {
		return v.features[0]
	}
	return t.Concat(v.features)
}

// embed is the sequence a layer stack starts from: the class token and the
// patches of every image, with positions, normalised.
func (v *clipBatch) embed(t *tape.Tape, b *Batch) tape.Var {
	cfg, net := &v.m.Config.Vision, &v.net.Vision
	planes := b.pixels.Reshape(b.images, cfg.Channels*cfg.ImageSize*cfg.ImageSize)
	x := t.Gather(t.Linear(t.Patchify(planes, cfg.Channels, cfg.ImageSize, cfg.ImageSize, cfg.PatchSize), &net.Patch), v.patchRows)
	x = t.Residual(x, t.Embedding(net.Class, v.classRows))
	x = t.Residual(x, t.Embedding(net.Position, v.positionRows))
	return t.LayerNorm(x, net.PreNorm.W, net.PreNorm.B, float32(cfg.LayerNormEps))
}

func (v *clipBatch) project(t *tape.Tape, _ *Batch, x tape.Var) tape.Var {
	t.SetRows(v.projectorRows)
	x = t.Activate(t.Linear(x, &v.net.Linear), activations[v.m.Config.ProjectorAct])
	return t.Linear(x, &v.net.Out)
}
