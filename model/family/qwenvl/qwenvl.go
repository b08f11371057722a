// Package qwenvl is Qwen2-VL (Wang et al. 2024) and Qwen2.5-VL (Bai et al.
// 2025): a vision tower that reads images of any size, a merger that makes one
// token of 2×2 patches, and a LLaMA decoder with biases on queries, keys and
// values and three-dimensional rotary positions.
package qwenvl

import (
	"errors"
	"fmt"
	"strings"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
)

func init() {
	family.Register("qwen2_vl", func() family.Family { return &Config{} })
	family.Register("qwen2_5_vl", func() family.Family { return &Config25{} })
}

// layers2 and layers25 have the names that transformers 4 writes to files.
type (
	layers2 struct {
		Vision nn.Qwen2Tower `hf:"visual"`
		Text   nn.Llama      `hf:""`
	}
	layers25 struct {
		Vision nn.Qwen25Tower `hf:"visual"`
		Text   nn.Llama       `hf:""`
	}
)

// network is either, declared.
// text and tower are parts of one of the structs above, whichever was declared.
type network struct {
	c       *family.Config
	windows *Config25 // nil where every layer sees the whole image
	text    *nn.Llama
	tower   nn.QwenTower
}

// Declare implements family.Family.
func (f *Config) Declare(c *family.Config) (family.Network, nn.Declaration, error) {
	l := &layers2{}
	l.Vision.Blocks = make([]nn.Qwen2Block, c.Vision.Layers)
	d, err := declare(c, l, &l.Text)
	return &network{c: c, text: &l.Text, tower: &l.Vision}, d, err
}

// Declare implements family.Family.
func (f *Config25) Declare(c *family.Config) (family.Network, nn.Declaration, error) {
	l := &layers25{}
	l.Vision.Blocks = make([]nn.Qwen25Block, c.Vision.Layers)
	d, err := declare(c, l, &l.Text)
	return &network{c: c, windows: f, text: &l.Text, tower: &l.Vision}, d, err
}

// declare declares layers, whose decoder is text.
// A head that is tied to the embedding has no weight of its own in files.
func declare(c *family.Config, layers any, text *nn.Llama) (nn.Declaration, error) {
	text.Layers = make([]nn.LlamaLayer, c.Text.Layers)
	dims := map[string]int{}
	c.Vision.QwenDims(dims)
	c.Text.Dims(dims)
	d, err := nn.Declare(layers, dims)
	if err == nil && c.Text.TieEmbeddings {
		text.Tie()
	}
	return d, err
}

// Decoder implements family.Network.
func (n *network) Decoder() *nn.Llama { return n.text }

// HeadName implements family.Family.
func (f *Config) HeadName() string { return "lm_head.weight" }

// DiskName implements family.Family. Transformers 5 knows tower and decoder below
// "model"; adapters have these names, and some folders do.
func (f *Config) DiskName(name string) string {
	if rest, ok := strings.CutPrefix(name, "model.visual."); ok {
		return "visual." + rest
	}
	if rest, ok := strings.CutPrefix(name, "model.language_model."); ok {
		return "model." + rest
	}
	return name
}

// MemoryName implements family.Family.
func (f *Config) MemoryName(name string) string {
	if strings.HasPrefix(name, "visual.") {
		return "model." + name
	}
	if rest, ok := strings.CutPrefix(name, "model."); ok {
		return "model.language_model." + rest
	}
	return name
}

// Part implements family.Family.
func (f *Config) Part(_ *family.Config, name string) family.Part {
	switch {
	case strings.HasPrefix(name, "visual.merger."):
		return family.Projector
	case strings.HasPrefix(name, "visual."):
		return family.Tower
	}
	return family.Text
}

// Mark implements family.Family.
func (f *Config) Mark(*family.Config) family.Mark {
	const start, end = "<|vision_start|>", "<|vision_end|>"
	return family.Mark{
		Token: "<|image_pad|>", Written: start + "<|image_pad|>" + end, VideoID: f.VideoTokenID,
		Around: []family.Token{{Text: start, ID: f.VisionStartID}, {Text: end, ID: f.VisionEndID}},
	}
}

// ImageTokens implements family.Family.
func (f *Config) ImageTokens(c *family.Config, g imaging.Grid) int {
	return g.Patches() / (c.Vision.MergeSize * c.Vision.MergeSize)
}

// PixelShape implements family.Family.
// It is [patches of all images, PatchValues].
func (f *Config) PixelShape(c *family.Config, images []imaging.Image) []int {
	n := 0
	for _, img := range images {
		n += img.Grid.Patches()
	}
	return []int{n, c.Vision.PatchValues()}
}

// CheckProcessor implements family.Family.
func (f *Config) CheckProcessor(c *family.Config, p imaging.Processor) error {
	v := &c.Vision
	q, patches := p.(*imaging.QwenProcessor)
	switch {
	case !patches:
		return errors.New("the image processor makes no patches of a Qwen2-VL tower")
	case q.Patch != v.PatchSize || q.Merge != v.MergeSize || q.Temporal != v.TemporalSize:
		return family.PatchesDiffer(q, v)
	}
	return nil
}

// Blank implements family.Family: the side is rounded to whole merged patches, as
// the processor rounds it.
func (f *Config) Blank(c *family.Config, side int) imaging.Image {
	v := &c.Vision
	unit := v.PatchSize * v.MergeSize
	n := max(1, (side+unit/2)/unit) * v.MergeSize
	g := imaging.Grid{T: 1, H: n, W: n}
	return imaging.Image{Grid: g, Pixels: make([]float32, g.Patches()*v.PatchValues())}
}

// CheckImages implements family.Family.
func (f *Config) CheckImages(c *family.Config, s *family.Sequence) error {
	for i := range s.Images {
		if err := f.checkImage(c, &s.Images[i]); err != nil {
			return fmt.Errorf("image %d %w", i, err)
		}
	}
	n := 0
	for i := 0; i < len(s.IDs); i++ {
		switch int(s.IDs[i]) {
		case f.VideoTokenID:
			return fmt.Errorf("token %d is video_token_id %d: videos are not implemented", i, f.VideoTokenID)
		// An image's tokens are one run of exactly its length; the next one begins another image,
		// even without a token between.
		case c.ImageTokenID:
			if n == len(s.Images) {
				return fmt.Errorf("token %d is image_token_id %d, but there is no image for it: the text has %d images", i, c.ImageTokenID, n)
			}
			want := f.ImageTokens(c, s.Images[n].Grid)
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

func (f *Config) checkImage(c *family.Config, img *imaging.Image) error {
	v, g := &c.Vision, img.Grid
	switch {
	case g.T > 1:
		return fmt.Errorf("has %d frames: videos are not implemented", g.T)
	case g.T <= 0 || g.H <= 0 || g.W <= 0 || g.H%v.MergeSize != 0 || g.W%v.MergeSize != 0:
		return fmt.Errorf("has a grid of %d×%d×%d patches, whose sides must be multiples of %d", g.T, g.H, g.W, v.MergeSize)
	case len(img.Pixels) != g.Patches()*v.PatchValues():
		return fmt.Errorf("has %d values, its %d×%d patches of %d take %d", len(img.Pixels), g.H, g.W, v.PatchValues(), g.Patches()*v.PatchValues())
	}
	return nil
}

// Positions are M-RoPE's: text counts on all three axes, an image spans them
// from where it begins, and what follows stands behind its longest side.
//
// The spans are M-RoPE's of the paper (section 2.1) and get_rope_index of transformers: time
// stands still in an image, rows and columns count from its first token.
// The images have been checked (CheckImages): their tokens are there, in whole runs.
func (f *Config) Positions(c *family.Config, s *family.Sequence, dst []nn.Position) []nn.Position {
	next, image := int32(0), 0
	for i := 0; i < len(s.IDs); i++ {
		if int(s.IDs[i]) != c.ImageTokenID {
			dst = append(dst, nn.Position{next, next, next})
			next++
			continue
		}
		g, m := s.Images[image].Grid, c.Vision.MergeSize
		h, w := int32(g.H/m), int32(g.W/m)
		for y := range h {
			for x := range w {
				dst = append(dst, nn.Position{next, next + y, next + x})
			}
		}
		i += int(h*w) - 1
		next += max(h, w)
		image++
	}
	return dst
}
