package llava

import (
	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
	"vgid/model/tape"
)

// images is what LLaVA's tower reads of a batch. Each image is a sequence
// of its own: the class token, then the patches.
// Tensors are staged for one batch and hold until the next is staged. Row columns are [rows, 1],
// those of dropout [rows, 2]: sample and place.
type images struct {
	net *network

	patchRows, classRows, positionRows    backend.Tensor // I32
	featureRows, towerRows, projectorRows backend.Tensor
	attn                                  backend.Attention
	start, len                            []int32
	segments                              []nn.CLIPSegment
	features                              []tape.Var
}

// Stage implements family.Images.
func (v *images) Stage(b *family.Staging, seqs []family.Sequence) {
	c := v.net.c
	images, patches := int32(0), int32(c.Vision.Patches())
	for i := range seqs {
		images += int32(len(seqs[i].Images))
	}
	rows := patches + 1
	// A sequence is made of three tables by adding their rows; -1 adds nothing. So the
	// class token and the patches keep their own parameters and gradients.
	b.Begin(&v.patchRows, 1)
	for i := range images {
		b.Put(-1)
		for p := range patches {
			b.Put(i*patches + p)
		}
	}
	b.Begin(&v.classRows, 1)
	for range images {
		b.Put(0)
		for range patches {
			b.Put(-1)
		}
	}
	b.Begin(&v.positionRows, 1)
	for range images {
		for p := range rows {
			b.Put(p)
		}
	}
	// "default" leaves out the class token, the first row of each image.
	skip := rows - patches
	if v.net.own.FeatureSelect == "full" {
		skip = 0
	}
	b.Begin(&v.featureRows, 1)
	for i := range images {
		for p := skip; p < rows; p++ {
			b.Put(i*rows + p)
		}
	}
	// Dropout in the tower is keyed by the place of a row in its sample, so that a
	// sample draws the same whatever it is packed with.
	b.Begin(&v.towerRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Images)) * rows {
			b.Put(int32(seqs[i].Sample), p)
		}
	}
	b.Begin(&v.projectorRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Images)) * (rows - skip) {
			b.Put(int32(seqs[i].Sample), p)
		}
	}
	v.start, v.len = v.start[:0], v.len[:0]
	for i := range images {
		v.start, v.len = append(v.start, i*rows), append(v.len, rows)
	}
	v.attn.Q = b.Sequences(v.start, v.len, &v.attn.Q.Dev)
	v.attn.Heads, v.attn.KVHeads, v.attn.HeadDim = c.Vision.Heads, c.Vision.Heads, c.Vision.HiddenSize/c.Vision.Heads
	v.attn.Scale = float32(nn.InvSqrt(v.attn.HeadDim))
}

// Tower gives the outputs of the selected layers side by side, [images'
// placeholders, features].
// pixels are [images, channels, height, width], flat. features is the tower's width times the
// number of selected layers.
func (v *images) Tower(t nn.Pass, pixels backend.Tensor) tape.Var {
	c, own := v.net.c, v.net.own
	t.SetRows(v.towerRows)
	v.attn.KV = v.attn.Q
	x := v.embed(t.Tape, pixels)
	v.features = append(v.features[:0], make([]tape.Var, len(own.FeatureLayers))...)
	// n counts the layers that have run: x is hidden state n (config.Depth).
	for n := 0; ; n++ {
		for i, l := range own.FeatureLayers {
			if own.hiddenState(c, l) == n {
				v.features[i] = t.Gather(x, v.featureRows)
			}
		}
		if n == own.Depth(c) {
			break
		}
		s := &v.segments[n]
		*s = nn.CLIPSegment{Layer: &v.net.Vision.Layers[n], Act: nn.Activations[c.Vision.Act], Eps: float32(own.LayerNormEps), Attn: v.attn}
		x = t.Layer(x, s)
	}
	if len(v.features) == 1 {
		return v.features[0]
	}
	return t.Concat(v.features)
}

// embed is the sequence a layer stack starts from: the class token and the
// patches of every image, with positions, normalised.
// Rows are images·(1 + patches). Patchify and a product are the convolution of CLIP's patch
// embedding, which has no bias.
func (v *images) embed(t *tape.Tape, pixels backend.Tensor) tape.Var {
	cfg, net := &v.net.c.Vision, &v.net.Vision
	values := cfg.Channels * cfg.ImageSize * cfg.ImageSize
	planes := pixels.Reshape(pixels.Len()/values, values)
	x := t.Gather(t.Linear(t.Patchify(planes, cfg.Channels, cfg.ImageSize, cfg.ImageSize, cfg.PatchSize), &net.Patch), v.patchRows)
	x = t.Residual(x, t.Embedding(net.Class, v.classRows))
	x = t.Residual(x, t.Embedding(net.Position, v.positionRows))
	return t.LayerNorm(x, net.PreNorm.W, net.PreNorm.B, float32(v.net.own.LayerNormEps))
}

// Project implements family.Images.
// The result is [placeholders, the decoder's width], a row for each image token in the order of the
// text.
func (v *images) Project(t *tape.Tape, x tape.Var) tape.Var {
	t.SetRows(v.projectorRows)
	x = t.Activate(t.Linear(x, &v.net.Linear), nn.Activations[v.net.own.ProjectorAct])
	return t.Linear(x, &v.net.Out)
}
