package nn

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

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

// VisionConfig describes a vision tower: what every family's has, and how an
// image is cut into what the tower reads. What only one family has is in that
// family's own struct.
type VisionConfig struct {
	HiddenSize, IntermediateSize int
	Layers, Heads                int
	PatchSize, Channels          int
	Act                          string // Hugging Face name, e.g. "quick_gelu"

	// ImageSize is the side of the square images that the tower takes; 0 where it
	// takes any size.
	ImageSize int
	// MergeSize is the side of the square of patches that becomes one token, and
	// TemporalSize the frames of a patch; 0 where a patch is a token of one frame.
	MergeSize, TemporalSize int
}

// Patches is the number of patches of an image of the one size.
func (v *VisionConfig) Patches() int {
	n := v.ImageSize / v.PatchSize
	return n * n
}

// PatchValues is the count of values of a patch of all frames.
func (v *VisionConfig) PatchValues() int {
	return v.Channels * v.TemporalSize * v.PatchSize * v.PatchSize
}

// Activations are the implemented activation functions by their names in
// config.json.
var Activations = map[string]backend.Activation{
	"gelu": backend.GELU, "gelu_new": backend.GELUTanh, "gelu_pytorch_tanh": backend.GELUTanh,
	"quick_gelu": backend.QuickGELU, "silu": backend.SiLU, "swish": backend.SiLU,
}

// MaxLayers is far beyond any released model; it keeps a damaged file from
// asking for the declaration of billions.
const MaxLayers = 4096

// Dimension is a field of config.json that has to be positive.
type Dimension struct {
	field string
	n     int
}

// Dim is the dimension that a field gives.
func Dim(field string, n int) Dimension { return Dimension{field, n} }

// Positive refuses the first dimension that is not, by the name of its field.
func Positive(dims ...Dimension) error {
	for _, s := range dims {
		if s.n <= 0 || s.n > math.MaxInt32 {
			return fmt.Errorf("%s must be positive, not %d", s.field, s.n)
		}
	}
	return nil
}

// Validate checks that the fields fit each other and are implemented. Errors
// begin with the field's name in config.json.
func (t *TextConfig) Validate() error {
	if err := Positive(
		Dim("vocab_size", t.VocabSize), Dim("hidden_size", t.HiddenSize),
		Dim("intermediate_size", t.IntermediateSize), Dim("num_hidden_layers", t.Layers),
		Dim("num_attention_heads", t.Heads), Dim("num_key_value_heads", t.KVHeads),
		Dim("head_dim", t.HeadDim), Dim("max_position_embeddings", t.MaxPositions),
	); err != nil {
		return err
	}
	switch {
	case t.Layers > MaxLayers:
		return fmt.Errorf("num_hidden_layers %d is more than %d", t.Layers, MaxLayers)
	case t.Heads%t.KVHeads != 0:
		return fmt.Errorf("num_key_value_heads %d does not divide num_attention_heads %d", t.KVHeads, t.Heads)
	case t.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d must be even for rotary embeddings", t.HeadDim)
	}
	return t.RoPE.Validate(t.HeadDim)
}
