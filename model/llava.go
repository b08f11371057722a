package model

import (
	"fmt"
	"reflect"
	"strings"

	"vgid/model/hf/imaging"
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

type llavaFamily struct{}

func (llavaFamily) declare(c *Config) (network, *walker, error) {
	net := &llava{}
	net.Vision.Layers = make([]clipLayer, c.Vision.Layers)
	net.Text.Layers = make([]llamaLayer, c.Text.Layers)
	w := &walker{dims: map[string]int{
		"features":       c.Vision.HiddenSize * len(c.FeatureLayers),
		"projector_bias": flag(c.ProjectorBias),
	}}
	c.Text.dims(w.dims)
	c.Vision.clipDims(w.dims)
	if err := w.walk(reflect.ValueOf(net).Elem(), ""); err != nil {
		return nil, nil, err
	}
	if c.Text.TieEmbeddings {
		net.Text.Head = net.Text.Embed
	}
	return net, w, nil
}

func (l *llava) decoder() *llama { return &l.Text }

func (l *llava) images(m *Model) imageBatch { return newClipBatch(l, m) }

func (llavaFamily) headName() string { return "language_model.lm_head.weight" }

func (llavaFamily) diskName(name string) string {
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

func (llavaFamily) memoryName(name string) string {
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

func (llavaFamily) part(c *Config, name string) part {
	rest, ok := strings.CutPrefix(name, "vision_tower.vision_model.")
	switch {
	case strings.HasPrefix(name, "multi_modal_projector."):
		return partProjector
	case !ok:
		return partText
	case strings.HasPrefix(rest, "post_layernorm."):
		return partIdle
	}
	var layer int
	if n, _ := fmt.Sscanf(rest, "encoder.layers.%d.", &layer); n == 1 && layer >= c.visionDepth() {
		return partIdle
	}
	return partTower
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

func (llavaFamily) imageMark() (token, written string) { return "<image>", "<image>" }

func (llavaFamily) imageTokens(c *Config, _ imaging.Grid) int {
	n := c.Vision.clipPatches()
	if c.FeatureSelect == "full" {
		n++
	}
	return n
}

func (llavaFamily) pixelShape(c *Config, images []imaging.Image) []int {
	return []int{len(images), c.Vision.Channels, c.Vision.ImageSize, c.Vision.ImageSize}
}

func (f llavaFamily) checkImages(c *Config, s *Sequence) error {
	placeholders := 0
	for _, id := range s.IDs {
		if int(id) == c.ImageTokenID {
			placeholders++
		}
	}
	each := f.imageTokens(c, imaging.Grid{})
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

func (llavaFamily) positions(_ *Config, s *Sequence, dst []position) []position {
	return textPositions(len(s.IDs), dst)
}
