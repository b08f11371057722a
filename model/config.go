package model

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"vgid/model/backend"
)

// Config describes a model of the LLaVA family: a CLIP vision tower, a
// two-layer projector and a LLaMA decoder.
type Config struct {
	Text   TextConfig
	Vision VisionConfig

	ImageTokenID  int    // the placeholder that image features replace
	ProjectorAct  string // Hugging Face name, e.g. "gelu"
	ProjectorBias bool
	// FeatureLayers are the vision layers whose outputs the projector reads,
	// side by side: -1 is the last layer, -2 the one before, 1 the first; 0 is
	// the input of the first.
	FeatureLayers []int
	FeatureSelect string // "default" drops the CLS token, "full" keeps it

	PadTokenID int    // -1 when the files name none
	BOSTokenID int    // -1 when the files name none
	EOSTokenID []int  // empty when the files name none
	DType      string // of the weights on disk: "float32", "bfloat16" or "float16"
}

// TextConfig describes a LLaMA decoder.
type TextConfig struct {
	VocabSize, HiddenSize, IntermediateSize int
	Layers, Heads, KVHeads, HeadDim         int
	MaxPositions                            int
	RMSNormEps                              float64
	RoPE                                    RoPE
	AttentionBias, MLPBias, TieEmbeddings   bool
}

// RoPE holds the rotary embedding's base and its scaling.
type RoPE struct {
	Theta float64
	// Type is "default", "linear" or "llama3"; the other fields belong to the
	// last two.
	Type                          string
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositions          int
}

// VisionConfig describes a CLIP vision tower.
type VisionConfig struct {
	HiddenSize, IntermediateSize int
	Layers, Heads                int
	ImageSize, PatchSize         int
	Channels                     int
	Act                          string // Hugging Face name, e.g. "quick_gelu"
	LayerNormEps                 float64
	ProjectionDim                int // CLIP's own, carried through files only
}

// patches is the number of patches of an image.
func (v VisionConfig) patches() int {
	n := v.ImageSize / v.PatchSize
	return n * n
}

// NumImageTokens is how many placeholders stand for one image.
func (c *Config) NumImageTokens() int {
	n := c.Vision.patches()
	if c.FeatureSelect == "full" {
		n++
	}
	return n
}

var activations = map[string]backend.Activation{
	"gelu": backend.GELU, "gelu_new": backend.GELUTanh, "gelu_pytorch_tanh": backend.GELUTanh,
	"quick_gelu": backend.QuickGELU, "silu": backend.SiLU, "swish": backend.SiLU,
}

// ReadConfig reads config.json of a model folder.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads a config.json as transformers 4 or 5 writes it. Fields
// that are missing take the defaults of the transformers classes. A field
// whose value is not implemented is refused by its name.
func ParseConfig(data []byte) (*Config, error) {
	var top jsonConfig
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, err
	}
	switch {
	case top.ModelType == "":
		return nil, fmt.Errorf("model_type is missing")
	case top.ModelType != "llava":
		return nil, fmt.Errorf("model_type %q is not implemented; known: llava", top.ModelType)
	}
	c := &Config{
		ImageTokenID:  firstOf(top.ImageTokenIndex, top.ImageTokenID, 32000),
		ProjectorAct:  or(top.ProjectorHiddenAct, "gelu"),
		ProjectorBias: or(top.MultimodalProjectorBias, true),
		FeatureSelect: or(top.VisionFeatureSelectStrategy, "default"),
		DType:         or(top.DType, or(top.TorchDType, "float32")),
		PadTokenID:    or(top.PadTokenID, -1),
		FeatureLayers: []int{-2},
	}
	if top.VisionFeatureLayer != nil {
		c.FeatureLayers = *top.VisionFeatureLayer
	}
	if err := c.Text.parse(top.TextConfig); err != nil {
		return nil, fmt.Errorf("text_config.%w", err)
	}
	if top.TextConfig.TieWordEmbeddings == nil && top.TieWordEmbeddings != nil {
		c.Text.TieEmbeddings = *top.TieWordEmbeddings
	}
	if err := c.Vision.parse(top.VisionConfig); err != nil {
		return nil, fmt.Errorf("vision_config.%w", err)
	}
	t := top.TextConfig
	c.BOSTokenID = firstOf(top.BOSTokenID, t.BOSTokenID, -1)
	if t.EOSTokenID != nil {
		c.EOSTokenID = *t.EOSTokenID
	}
	if top.EOSTokenID != nil {
		c.EOSTokenID = *top.EOSTokenID
	}
	if c.PadTokenID < 0 {
		c.PadTokenID = or(t.PadTokenID, -1)
	}
	return c, c.Validate()
}

// maxLayers is far beyond any released model; it keeps a damaged file from
// asking for the declaration of billions.
const maxLayers = 4096

// Validate checks that the fields fit each other and are implemented. Errors
// begin with the field's name in config.json.
func (c *Config) Validate() error {
	t, v := &c.Text, &c.Vision
	for _, f := range []struct {
		name string
		n    int
	}{
		{"text_config.vocab_size", t.VocabSize}, {"text_config.hidden_size", t.HiddenSize},
		{"text_config.intermediate_size", t.IntermediateSize}, {"text_config.num_hidden_layers", t.Layers},
		{"text_config.num_attention_heads", t.Heads}, {"text_config.num_key_value_heads", t.KVHeads},
		{"text_config.head_dim", t.HeadDim}, {"text_config.max_position_embeddings", t.MaxPositions},
		{"vision_config.hidden_size", v.HiddenSize}, {"vision_config.intermediate_size", v.IntermediateSize},
		{"vision_config.num_hidden_layers", v.Layers}, {"vision_config.num_attention_heads", v.Heads},
		{"vision_config.image_size", v.ImageSize}, {"vision_config.patch_size", v.PatchSize},
		{"vision_config.num_channels", v.Channels},
	} {
		if f.n <= 0 || f.n > math.MaxInt32 {
			return fmt.Errorf("%s must be positive, not %d", f.name, f.n)
		}
	}
	switch {
	case t.Layers > maxLayers:
		return fmt.Errorf("text_config.num_hidden_layers %d is more than %d", t.Layers, maxLayers)
	case v.Layers > maxLayers:
		return fmt.Errorf("vision_config.num_hidden_layers %d is more than %d", v.Layers, maxLayers)
	case t.Heads%t.KVHeads != 0:
		return fmt.Errorf("text_config.num_key_value_heads %d does not divide num_attention_heads %d", t.KVHeads, t.Heads)
	case t.HeadDim%2 != 0:
		return fmt.Errorf("text_config.head_dim %d must be even for rotary embeddings", t.HeadDim)
	case v.HiddenSize%v.Heads != 0:
		return fmt.Errorf("vision_config.num_attention_heads %d does not divide hidden_size %d", v.Heads, v.HiddenSize)
	case v.ImageSize%v.PatchSize != 0:
		return fmt.Errorf("vision_config.patch_size %d does not divide image_size %d", v.PatchSize, v.ImageSize)
	case c.FeatureSelect != "default" && c.FeatureSelect != "full":
		return fmt.Errorf("vision_feature_select_strategy %q is not implemented; use default or full", c.FeatureSelect)
	case len(c.FeatureLayers) == 0:
		return fmt.Errorf("vision_feature_layer is empty")
	case c.ImageTokenID < 0 || c.ImageTokenID >= t.VocabSize:
		return fmt.Errorf("image_token_index %d is outside the vocabulary of %d", c.ImageTokenID, t.VocabSize)
	}
	for _, l := range c.FeatureLayers {
		if l > v.Layers || l < -v.Layers-1 {
			return fmt.Errorf("vision_feature_layer %d: the tower has %d layers", l, v.Layers)
		}
	}
	for _, a := range [...]struct{ field, name string }{
		{"projector_hidden_act", c.ProjectorAct}, {"vision_config.hidden_act", v.Act},
	} {
		if _, ok := activations[a.name]; !ok {
			return fmt.Errorf("%s %q is not implemented", a.field, a.name)
		}
	}
	switch c.DType {
	case "float32", "bfloat16", "float16":
	default:
		return fmt.Errorf("dtype %q is not implemented; use float32, bfloat16 or float16", c.DType)
	}
	return t.RoPE.validate()
}

func (r RoPE) validate() error {
	switch r.Type {
	case "default":
	case "linear":
		if r.Factor <= 0 {
			return fmt.Errorf("text_config.rope_scaling.factor must be positive, not %g", r.Factor)
		}
	case "llama3":
		if r.Factor <= 0 || r.LowFreqFactor <= 0 || r.HighFreqFactor <= r.LowFreqFactor || r.OriginalMaxPositions <= 0 {
			return fmt.Errorf("text_config.rope_scaling of type llama3 needs factor, low_freq_factor < high_freq_factor and original_max_position_embeddings, all positive")
		}
	default:
		return fmt.Errorf("text_config.rope_scaling.rope_type %q is not implemented; known: default, linear, llama3", r.Type)
	}
	if r.Theta <= 1 {
		return fmt.Errorf("text_config.rope_theta must be above 1, not %g", r.Theta)
	}
	return nil
}

// inverseFrequencies are the angles per position of the dim/2 rotated pairs.
func (r RoPE) inverseFrequencies(dim int) []float64 {
	inv := make([]float64, dim/2)
	for i := range inv {
		f := math.Pow(r.Theta, -float64(2*i)/float64(dim))
		switch r.Type {
		case "linear":
			f /= r.Factor
		case "llama3":
			f = r.llama3(f)
		}
		inv[i] = f
	}
	return inv
}

// llama3 slows the frequencies whose wavelength is long against the original
// context, leaves the short ones, and interpolates between.
func (r RoPE) llama3(f float64) float64 {
	wavelength := 2 * math.Pi / f
	original := float64(r.OriginalMaxPositions)
	low, high := original/r.LowFreqFactor, original/r.HighFreqFactor
	switch {
	case wavelength < high:
		return f
	case wavelength > low:
		return f / r.Factor
	}
	s := (original/wavelength - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
	return (1-s)*f/r.Factor + s*f
}

func or[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

func firstOf[T any](a, b *T, def T) T { return or(a, or(b, def)) }
