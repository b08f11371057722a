// Package llava is LLaVA-1.5 (Liu et al. 2024) in the layout of transformers: a
// CLIP tower, a projector and a LLaMA decoder.
package llava

import (
	"fmt"
	"strings"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
	"vgid/model/tape"
)

func init() { family.Register("llava", func() family.Family { return &Config{} }) }

// network has the names that transformers 4 writes to files.
// It holds the layers that passes read; their values are the Set's (package params).
type network struct {
	Vision nn.CLIP     `hf:"vision_tower.vision_model"`
	Linear tape.Linear `hf:"multi_modal_projector.linear_1" dims:"d,features" bias:"projector_bias"`
	Out    tape.Linear `hf:"multi_modal_projector.linear_2" dims:"d,d" bias:"projector_bias"`
	Text   nn.Llama    `hf:"language_model"`

	c   *family.Config
	own *Config
}

// Declare implements family.Family.
// The projector reads the selected layers side by side, hence the width of features.
func (f *Config) Declare(c *family.Config) (family.Network, nn.Declaration, error) {
	net := &network{c: c, own: f}
	net.Vision.Layers = make([]nn.CLIPLayer, c.Vision.Layers)
	net.Text.Layers = make([]nn.LlamaLayer, c.Text.Layers)
	dims := map[string]int{
		"features":       c.Vision.HiddenSize * len(f.FeatureLayers),
		"projector_bias": nn.Flag(f.ProjectorBias),
	}
	c.Text.Dims(dims)
	c.Vision.CLIPDims(dims)
	d, err := nn.Declare(net, dims)
	if err != nil {
		return nil, d, err
	}
	if c.Text.TieEmbeddings {
		net.Text.Tie()
	}
	return net, d, nil
}

// Decoder implements family.Network.
func (n *network) Decoder() *nn.Llama { return &n.Text }

// Images implements family.Network.
func (n *network) Images() family.Images {
	return &images{net: n, segments: make([]nn.CLIPSegment, n.own.Depth(n.c))}
}

// HeadName implements family.Family.
func (f *Config) HeadName() string { return "language_model.lm_head.weight" }

// DiskName implements family.Family. Transformers 5 knows the decoder without its
// inner "model", the head beside it and the tower without "vision_model", all below
// "model"; adapters have these names, and some folders do.
func (f *Config) DiskName(name string) string {
	name = strings.TrimPrefix(name, "model.")
	switch {
	case strings.HasPrefix(name, "lm_head."):
		return "language_model." + name
	case strings.HasPrefix(name, "language_model."):
		rest := strings.TrimPrefix(name, "language_model.")
		if !strings.HasPrefix(rest, "model.") && !strings.HasPrefix(rest, "lm_head.") {
			return "language_model.model." + rest
		}
	case strings.HasPrefix(name, "vision_tower.") && !strings.HasPrefix(name, "vision_tower.vision_model."):
		return "vision_tower.vision_model." + strings.TrimPrefix(name, "vision_tower.")
	}
	return name
}

// MemoryName implements family.Family.
// It is the inverse of DiskName for names in files.
func (f *Config) MemoryName(name string) string {
	if rest, ok := strings.CutPrefix(name, "language_model.model."); ok {
		return "model.language_model." + rest
	}
	if rest, ok := strings.CutPrefix(name, "language_model.lm_head"); ok {
		return "lm_head" + rest
	}
	if rest, ok := strings.CutPrefix(name, "vision_tower.vision_model."); ok {
		return "model.vision_tower." + rest
	}
	return "model." + name
}

// Part implements family.Family. Features are usually taken one layer before the
// last: what lies behind is read and written back, and never run.
func (f *Config) Part(c *family.Config, name string) family.Part {
	rest, ok := strings.CutPrefix(name, "vision_tower.vision_model.")
	switch {
	case strings.HasPrefix(name, "multi_modal_projector."):
		return family.Projector
	case !ok:
		return family.Text
	case strings.HasPrefix(rest, "post_layernorm."):
		return family.Idle
	}
	var layer int
	if n, _ := fmt.Sscanf(rest, "encoder.layers.%d.", &layer); n == 1 && layer >= f.Depth(c) {
		return family.Idle
	}
	return family.Tower
}

// Depth is how many layers of the tower the features need.
func (f *Config) Depth(c *family.Config) int {
	depth := 0
	for _, l := range f.FeatureLayers {
		depth = max(depth, f.hiddenState(c, l))
	}
	return depth
}

// hiddenState counts the outputs of the tower from 0, the input of its first
// layer.
func (f *Config) hiddenState(c *family.Config, featureLayer int) int {
	if featureLayer < 0 {
		return featureLayer + c.Vision.Layers + 1
	}
	return featureLayer
}

// Mark implements family.Family.
func (f *Config) Mark(*family.Config) family.Mark {
	return family.Mark{Token: "<image>", Written: "<image>"}
}

// ImageTokens implements family.Family.
func (f *Config) ImageTokens(c *family.Config, _ imaging.Grid) int {
	n := c.Vision.Patches()
	if f.FeatureSelect == "full" {
		n++
	}
	return n
}

// PixelShape implements family.Family.
// It is [images, channels, height, width].
func (f *Config) PixelShape(c *family.Config, images []imaging.Image) []int {
	return []int{len(images), c.Vision.Channels, c.Vision.ImageSize, c.Vision.ImageSize}
}

// CheckProcessor implements family.Family.
func (f *Config) CheckProcessor(c *family.Config, p imaging.Processor) error {
	if q, patches := p.(*imaging.QwenProcessor); patches {
		return family.PatchesDiffer(q, &c.Vision)
	}
	if h, w := p.Size(); h != c.Vision.ImageSize || w != c.Vision.ImageSize {
		return fmt.Errorf("the image processor makes %d×%d images, config.json's vision_config.image_size says %d", w, h, c.Vision.ImageSize)
	}
	return nil
}

// Blank implements family.Family: images have one size.
func (f *Config) Blank(c *family.Config, _ int) imaging.Image {
	v := &c.Vision
	return imaging.Image{Pixels: make([]float32, v.Channels*v.ImageSize*v.ImageSize)}
}

// CheckImages implements family.Family.
// That images stand in runs is not checked: their rows are given to placeholders in order.
func (f *Config) CheckImages(c *family.Config, s *family.Sequence) error {
	placeholders := 0
	for _, id := range s.IDs {
		if int(id) == c.ImageTokenID {
			placeholders++
		}
	}
	each := f.ImageTokens(c, imaging.Grid{})
	if placeholders != len(s.Images)*each {
		return fmt.Errorf("%d image tokens in the text, but %d images of %d tokens", placeholders, len(s.Images), each)
	}
	v := &c.Vision
	for i, img := range s.Images {
		if want := v.Channels * v.ImageSize * v.ImageSize; len(img.Pixels) != want {
			return fmt.Errorf("image %d has %d values, the tower takes %dx%dx%d", i, len(img.Pixels), v.Channels, v.ImageSize, v.ImageSize)
		}
	}
	return nil
}

// Positions implements family.Family.
func (f *Config) Positions(_ *family.Config, s *family.Sequence, dst []nn.Position) []nn.Position {
	return family.TextPositions(len(s.IDs), dst)
}
