package model

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"vgid/model/hf/imaging"
	"vgid/model/tape"
)

// qwen2VL is Qwen2-VL (Wang et al. 2024): a vision tower that reads images of
// any size as 14×14 patches with two-dimensional rotary positions, a merger
// that makes one token of 2×2 patches, and a LLaMA decoder with biases on
// queries, keys and values and three-dimensional rotary positions.
type qwen2VL struct {
	Vision qwen2Tower `hf:"visual"`
	Text   llama      `hf:""`
}

type qwen2Tower struct {
	Patch  tape.Linear  `hf:"patch_embed.proj" dims:"vd,ctpp" shape:"vd,c,t,p,p"`
	Blocks []qwen2Block `hf:"blocks"`
	Norm   norm         `hf:"merger.ln_q" dims:"vd" bias:"1"`
	Merger qwenMerger   `hf:"merger.mlp"`
}

type qwen2Block struct {
	Norm1 norm        `hf:"norm1" dims:"vd" bias:"1"`
	QKV   tape.Linear `hf:"attn.qkv" dims:"3vd,vd" bias:"1"`
	O     tape.Linear `hf:"attn.proj" dims:"vd,vd" bias:"1" init:"half"`
	Norm2 norm        `hf:"norm2" dims:"vd" bias:"1"`
	FC1   tape.Linear `hf:"mlp.fc1" dims:"vf,vd" bias:"1"`
	FC2   tape.Linear `hf:"mlp.fc2" dims:"vd,vf" bias:"1" init:"half"`
}

// qwenMerger makes a token of the decoder of a square of patches.
type qwenMerger struct {
	FC1 tape.Linear `hf:"0" dims:"merged,merged" bias:"1"`
	FC2 tape.Linear `hf:"2" dims:"d,merged" bias:"1"`
}

// qwenEps is of every norm of the tower; no config field holds it.
const qwenEps = 1e-6

func (l *qwen2Block) forward(t *tape.Tape, x tape.Var, s *qwenSegment) tape.Var {
	mark := t.Mark()
	a := s.attend(t, t.LayerNorm(x, l.Norm1.W, l.Norm1.B, qwenEps), &l.QKV, &l.O)
	x = t.Release(mark, t.Residual(x, a))
	mark = t.Mark()
	h := t.Activate(t.Linear(t.LayerNorm(x, l.Norm2.W, l.Norm2.B, qwenEps), &l.FC1), activations[s.cfg.Act])
	return t.Release(mark, t.Residual(x, t.Linear(h, &l.FC2)))
}

func (n *qwen2VL) decoder() *llama { return &n.Text }

func (n *qwen2VL) images(m *Model) imageBatch {
	blocks := make([]qwenBlock, len(n.Vision.Blocks))
	for i := range blocks {
		blocks[i] = &n.Vision.Blocks[i]
	}
	return newQwenBatch(m, &n.Vision.Patch, blocks, n)
}

func (n *qwen2VL) norm(t *tape.Tape, x tape.Var) tape.Var {
	return t.LayerNorm(x, n.Vision.Norm.W, n.Vision.Norm.B, qwenEps)
}

func (n *qwen2VL) merger() *qwenMerger { return &n.Vision.Merger }

// qwen2VLFamily is also what Qwen2.5-VL shares with Qwen2-VL.
type qwen2VLFamily struct{}

func (qwen2VLFamily) declare(c *Config) (network, *walker, error) {
	net := &qwen2VL{}
	net.Vision.Blocks = make([]qwen2Block, c.Vision.Layers)
	w, err := declareQwen(c, net, &net.Text)
	return net, w, err
}

// declareQwen walks net, whose decoder is text.
func declareQwen(c *Config, net any, text *llama) (*walker, error) {
	text.Layers = make([]llamaLayer, c.Text.Layers)
	v := &c.Vision
	w := &walker{dims: map[string]int{
		"vd": v.HiddenSize, "3vd": 3 * v.HiddenSize, "vf": v.IntermediateSize,
		"c": v.Channels, "t": v.TemporalSize, "p": v.PatchSize, "ctpp": v.patchValues(),
		"merged": v.HiddenSize * v.MergeSize * v.MergeSize,
	}}
	c.Text.dims(w.dims)
	if err := w.walk(reflect.ValueOf(net).Elem(), ""); err != nil {
		return nil, err
	}
	if c.Text.TieEmbeddings {
		text.Head = text.Embed
	}
	return w, nil
}

// patchValues is the count of values of a patch.
func (v *VisionConfig) patchValues() int {
	return v.Channels * v.TemporalSize * v.PatchSize * v.PatchSize
}

func (qwen2VLFamily) headName() string { return "lm_head.weight" }

func (qwen2VLFamily) diskName(name string) string {
	if rest, ok := strings.CutPrefix(name, "model.visual."); ok {
		return "visual." + rest
	}
	if rest, ok := strings.CutPrefix(name, "model.language_model."); ok {
		return "model." + rest
	}
	return name
}

func (qwen2VLFamily) memoryName(name string) string {
	if strings.HasPrefix(name, "visual.") {
		return "model." + name
	}
	if rest, ok := strings.CutPrefix(name, "model."); ok {
		return "model.language_model." + rest
	}
	return name
}

func (qwen2VLFamily) part(_ *Config, name string) part {
	switch {
	case strings.HasPrefix(name, "visual.merger."):
		return partProjector
	case strings.HasPrefix(name, "visual."):
		return partTower
	}
	return partText
}

func (qwen2VLFamily) imageMark() (token, written string) {
	return "<|image_pad|>", "<|vision_start|><|image_pad|><|vision_end|>"
}

func (qwen2VLFamily) imageTokens(c *Config, g imaging.Grid) int {
	return g.Patches() / (c.Vision.MergeSize * c.Vision.MergeSize)
}

func (qwen2VLFamily) pixelShape(c *Config, images []imaging.Image) []int {
	n := 0
	for _, img := range images {
		n += img.Grid.Patches()
	}
	return []int{n, c.Vision.patchValues()}
}

func (f qwen2VLFamily) checkImages(c *Config, s *Sequence) error {
	for i := range s.Images {
		if err := f.checkImage(c, &s.Images[i]); err != nil {
			return fmt.Errorf("image %d %w", i, err)
		}
	}
	n := 0
	for i := 0; i < len(s.IDs); i++ {
		switch int(s.IDs[i]) {
		case c.VideoTokenID:
			return fmt.Errorf("token %d is video_token_id %d: videos are not implemented", i, c.VideoTokenID)
		case c.ImageTokenID:
			if n == len(s.Images) {
				return fmt.Errorf("token %d is image_token_id %d, but there is no image for it: the text has %d images", i, c.ImageTokenID, n)
			}
			want := f.imageTokens(c, s.Images[n].Grid)
			for end := i + want - 1; i < end; i++ {
				if i+1 == len(s.IDs) || int(s.IDs[i+1]) != c.ImageTokenID {
					return fmt.Errorf("image %d needs %d image tokens behind each other, token %d of the text is another", n, want, i+1)
				}
			}
			n++
		}
	}
	if n != len(s.Images) {
		return fmt.Errorf("the text has tokens for %d of its %d images", n, len(s.Images))
	}
	return nil
}

func (qwen2VLFamily) checkImage(c *Config, img *imaging.Image) error {
	v, g := &c.Vision, img.Grid
	switch {
	case g.T > 1:
		return fmt.Errorf("has %d frames: videos are not implemented", g.T)
	case g.T <= 0 || g.H <= 0 || g.W <= 0 || g.H%v.MergeSize != 0 || g.W%v.MergeSize != 0:
		return fmt.Errorf("has a grid of %d×%d×%d patches, whose sides must be multiples of %d", g.T, g.H, g.W, v.MergeSize)
	case len(img.Pixels) != g.Patches()*v.patchValues():
		return fmt.Errorf("has %d values, its %d×%d patches of %d take %d", len(img.Pixels), g.H, g.W, v.patchValues(), g.Patches()*v.patchValues())
	}
	return nil
}

// positions are M-RoPE's: text counts on all three axes, an image spans them
// from where it begins, and what follows stands behind its longest side.
func (qwen2VLFamily) positions(c *Config, s *Sequence, dst []position) []position {
	next, image := int32(0), 0
	for i := 0; i < len(s.IDs); i++ {
		if int(s.IDs[i]) != c.ImageTokenID {
			dst = append(dst, position{next, next, next})
			next++
			continue
		}
		g, m := s.Images[image].Grid, c.Vision.MergeSize
		h, w := int32(g.H/m), int32(g.W/m)
		for y := range h {
			for x := range w {
				dst = append(dst, position{next, next + y, next + x})
			}
		}
		i += int(h*w) - 1
		next += max(h, w)
		image++
	}
	return dst
}

// fullAttention reports whether the layer sees whole images.
func (v *VisionConfig) fullAttention(layer int) bool {
	return v.WindowSize == 0 || slices.Contains(v.FullLayers, layer)
}
