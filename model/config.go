package model

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/hf/plainjson"
)

// Config describes a model: a vision tower, a projector and a decoder of the
// LLaMA kind. Type says of which family; fields that a family does not have
// stay zero.
type Config struct {
	Type   string // model_type: a key of families
	Text   TextConfig
	Vision VisionConfig

	ImageTokenID int // the placeholder that image features replace

	// LLaVA.
	ProjectorAct  string // Hugging Face name, e.g. "gelu"
	ProjectorBias bool
	// FeatureLayers are the vision layers whose outputs the projector reads,
	// side by side: -1 is the last layer, -2 the one before, 1 the first; 0 is
	// the input of the first.
	FeatureLayers []int
	FeatureSelect string // "default" drops the CLS token, "full" keeps it

	// Qwen2-VL: the placeholder of videos, which are refused, and the tokens
	// around an image.
	VideoTokenID, VisionStartID, VisionEndID int

	PadTokenID int    // -1 when the files name none
	BOSTokenID int    // -1 when the files name none
	EOSTokenID []int  // empty when the files name none
	DType      string // of the weights on disk: "float32", "bfloat16" or "float16"

	flat bool // the file has the text's fields at the top level
}

// TextConfig describes a LLaMA decoder.
type TextConfig struct {
	VocabSize, HiddenSize, IntermediateSize int
	Layers, Heads, KVHeads, HeadDim         int
	MaxPositions                            int
	RMSNormEps                              float64
	RoPE                                    RoPE
	AttentionBias                           bool // on all four projections
	QKVBias                                 bool // on queries, keys and values
	MLPBias, TieEmbeddings                  bool
}

// VisionConfig describes a vision tower.
type VisionConfig struct {
	HiddenSize, IntermediateSize int
	Layers, Heads                int
	PatchSize, Channels          int
	Act                          string // Hugging Face name, e.g. "quick_gelu"

	// CLIP.
	ImageSize     int
	LayerNormEps  float64
	ProjectionDim int // CLIP's own, carried through files only

	// Qwen2-VL: the side of the square of patches that becomes one token, the
	// frames of a patch, and, where attention is windowed, the window's side
	// in pixels and the layers that see the whole image.
	MergeSize, TemporalSize int
	WindowSize              int
	FullLayers              []int
}

var activations = map[string]backend.Activation{
	"gelu": backend.GELU, "gelu_new": backend.GELUTanh, "gelu_pytorch_tanh": backend.GELUTanh,
	"quick_gelu": backend.QuickGELU, "silu": backend.SiLU, "swish": backend.SiLU,
}

// ReadConfig reads config.json of a model folder.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, hf.NoConfig(dir)
	}
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
	f := configFile{raw: data}
	if err := plainjson.Unmarshal(data, &f.jsonConfig); err != nil {
		return nil, err
	}
	if f.MMVisionTower != nil {
		return nil, errors.New("mm_vision_tower: this model is in the layout of LLaVA's own code, whose tower lies elsewhere, not in that of transformers; take the converted one (often named …-hf), or convert it with transformers' convert_llava_weights_to_hf.py")
	}
	family, err := familyOf(f.ModelType)
	if err != nil {
		return nil, err
	}
	if err := hf.Quantised(data); err != nil {
		return nil, err
	}
	c := &Config{Type: f.ModelType, DType: firstOf(f.DType, f.TorchDType, "float32")}
	if err := family.parse(c, &f); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// maxLayers is far beyond any released model; it keeps a damaged file from
// asking for the declaration of billions.
const maxLayers = 4096

// size is a field that has to be positive.
type size struct {
	field string
	n     int
}

func positive(sizes ...size) error {
	for _, s := range sizes {
		if s.n <= 0 || s.n > math.MaxInt32 {
			return fmt.Errorf("%s must be positive, not %d", s.field, s.n)
		}
	}
	return nil
}

// Validate checks that the fields fit each other and are implemented. Errors
// begin with the field's name in config.json.
func (c *Config) Validate() error {
	family, err := familyOf(c.Type)
	if err != nil {
		return err
	}
	if err := c.Text.validate(); err != nil {
		return c.textError(err)
	}
	if c.ImageTokenID < 0 || c.ImageTokenID >= c.Text.VocabSize {
		return fmt.Errorf("image_token_id %d is outside the vocabulary of %d", c.ImageTokenID, c.Text.VocabSize)
	}
	if _, ok := activations[c.Vision.Act]; !ok {
		return fmt.Errorf("vision_config.hidden_act %q is not implemented", c.Vision.Act)
	}
	switch c.DType {
	case "float32", "bfloat16", "float16":
	default:
		return fmt.Errorf("dtype %q is not implemented; use float32, bfloat16 or float16", c.DType)
	}
	return family.validate(c)
}

// textError completes an error that begins with a field of the text's part.
func (c *Config) textError(err error) error {
	if c.flat {
		return err
	}
	return fmt.Errorf("text_config.%w", err)
}

func (t *TextConfig) validate() error {
	if err := positive(
		size{"vocab_size", t.VocabSize}, size{"hidden_size", t.HiddenSize},
		size{"intermediate_size", t.IntermediateSize}, size{"num_hidden_layers", t.Layers},
		size{"num_attention_heads", t.Heads}, size{"num_key_value_heads", t.KVHeads},
		size{"head_dim", t.HeadDim}, size{"max_position_embeddings", t.MaxPositions},
	); err != nil {
		return err
	}
	switch {
	case t.Layers > maxLayers:
		return fmt.Errorf("num_hidden_layers %d is more than %d", t.Layers, maxLayers)
	case t.Heads%t.KVHeads != 0:
		return fmt.Errorf("num_key_value_heads %d does not divide num_attention_heads %d", t.KVHeads, t.Heads)
	case t.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d must be even for rotary embeddings", t.HeadDim)
	}
	return t.RoPE.validate(t.HeadDim)
}

func or[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

func firstOf[T any](a, b *T, def T) T { return or(a, or(b, def)) }
