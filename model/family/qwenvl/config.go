package qwenvl

import (
	"fmt"
	"slices"

	"vgid/model/family"
	"vgid/model/kit/plainjson"
	"vgid/model/nn"
)

// Config holds the fields of config.json that only these families have, and
// is the family of Qwen2-VL.
type Config struct {
	VideoTokenID               int // the placeholder of videos, which are refused
	VisionStartID, VisionEndID int // the tokens around an image
}

// Config25 is the family of Qwen2.5-VL: Qwen2-VL with attention in windows.
// It inherits names, tokens and positions, which did not change between the two.
type Config25 struct {
	Config
	WindowSize int   // side of a window in pixels
	FullLayers []int // the layers that see the whole image
}

// textDefaults are the defaults of Qwen2VLTextConfig and Qwen2_5_VLTextConfig.
var textDefaults = nn.TextConfig{
	VocabSize: 152064, HiddenSize: 8192, IntermediateSize: 29568, Layers: 80, Heads: 64, KVHeads: 8,
	MaxPositions: 32768, RMSNormEps: 1e-5, QKVBias: true,
	RoPE: nn.RoPE{Theta: 1e6, Type: "default", Sections: [3]int{16, 24, 24}},
}

// jsonQwen are the fields of both families; hidden_size of vision_config is the text's
// width in Qwen2-VL and the tower's own in Qwen2.5-VL.
// Pointers tell a field that is left out, which has a default, from one that is 0.
type jsonQwen struct {
	VideoTokenID       *int `json:"video_token_id"`
	VisionStartTokenID *int `json:"vision_start_token_id"`
	VisionEndTokenID   *int `json:"vision_end_token_id"`
	VisionConfig       struct {
		Depth             *int               `json:"depth"`
		EmbedDim          *int               `json:"embed_dim"`
		HiddenSize        *int               `json:"hidden_size"`
		OutHiddenSize     *int               `json:"out_hidden_size"`
		IntermediateSize  *int               `json:"intermediate_size"`
		MLPRatio          *float64           `json:"mlp_ratio"`
		NumHeads          *int               `json:"num_heads"`
		HiddenAct         *string            `json:"hidden_act"`
		InChannels        *int               `json:"in_channels"`
		PatchSize         *family.IntList    `json:"patch_size"`
		SpatialMergeSize  *int               `json:"spatial_merge_size"`
		TemporalPatchSize *family.IntList    `json:"temporal_patch_size"`
		WindowSize        *int               `json:"window_size"`
		FullAttBlocks     *[]int             `json:"fullatt_block_indexes"`
		RopeParameters    *family.RoPEFields `json:"rope_parameters"`
	} `json:"vision_config"`
}

// parse reads what both families have. Released files are flat: the text's
// fields stand at the top level; newer ones keep them in text_config.
func (f *Config) parse(c *family.Config, file *family.File) (*jsonQwen, error) {
	var j jsonQwen
	if err := plainjson.Unmarshal(file.Raw, &j); err != nil {
		return nil, err
	}
	text := file.TextConfig
	if text == nil {
		c.Flat, text = true, &family.TextFields{}
		if err := plainjson.Unmarshal(file.Raw, text); err != nil {
			return nil, err
		}
	}
	if m := family.Or(text.ModelType, c.Type); m != c.Type && m != c.Type+"_text" {
		return nil, fmt.Errorf("text_config.model_type %q is not implemented; known: %s_text", m, c.Type)
	}
	// The classes read neither of these.
	text.AttentionBias, text.MLPBias, text.HeadDim = nil, nil, nil
	if err := family.ParseText(&c.Text, text, textDefaults); err != nil {
		return nil, c.TextError(err)
	}
	c.ParseTokens(file, text)
	c.ImageTokenID = family.Or(file.ImageTokenID, 151655)
	f.VideoTokenID = family.Or(j.VideoTokenID, 151656)
	f.VisionStartID = family.Or(j.VisionStartTokenID, 151652)
	f.VisionEndID = family.Or(j.VisionEndTokenID, 151653)

	v := &j.VisionConfig
	c.Vision = nn.VisionConfig{
		Layers: family.Or(v.Depth, 32), Heads: family.Or(v.NumHeads, 16),
		Channels: family.Or(v.InChannels, 3), MergeSize: family.Or(v.SpatialMergeSize, 2),
	}
	var err error
	if c.Vision.PatchSize, err = square(v.PatchSize, 14); err != nil {
		return nil, fmt.Errorf("vision_config.patch_size %w", err)
	}
	if c.Vision.TemporalSize, err = square(v.TemporalPatchSize, 2); err != nil {
		return nil, fmt.Errorf("vision_config.temporal_patch_size %w", err)
	}
	if r := v.RopeParameters; r != nil {
		if t := family.FirstOf(r.RopeType, r.Type, "axial"); t != "axial" {
			return nil, fmt.Errorf("vision_config.rope_parameters.rope_type %q is not implemented; known: axial", t)
		}
		if theta := family.Or(r.RopeTheta, towerTheta); theta != towerTheta {
			return nil, fmt.Errorf("vision_config.rope_parameters.rope_theta %g is not implemented; use %g", theta, towerTheta)
		}
	}
	return &j, nil
}

// Parse implements family.Family.
func (f *Config) Parse(c *family.Config, file *family.File) error {
	j, err := f.parse(c, file)
	if err != nil {
		return err
	}
	v := &j.VisionConfig
	c.Vision.HiddenSize = family.Or(v.EmbedDim, 1280)
	c.Vision.Act = family.Or(v.HiddenAct, "quick_gelu")
	if out := family.Or(v.HiddenSize, 3584); out != c.Text.HiddenSize {
		return fmt.Errorf("vision_config.hidden_size %d is not the text's hidden_size %d", out, c.Text.HiddenSize)
	}
	width := float64(c.Vision.HiddenSize) * family.Or(v.MLPRatio, 4)
	if c.Vision.IntermediateSize = int(width); float64(c.Vision.IntermediateSize) != width {
		return fmt.Errorf("vision_config.mlp_ratio %g does not give a whole width", family.Or(v.MLPRatio, 4))
	}
	return nil
}

// Parse implements family.Family.
func (f *Config25) Parse(c *family.Config, file *family.File) error {
	j, err := f.parse(c, file)
	if err != nil {
		return err
	}
	v := &j.VisionConfig
	c.Vision.HiddenSize = family.Or(v.HiddenSize, 3584)
	c.Vision.IntermediateSize = family.Or(v.IntermediateSize, 3420)
	c.Vision.Act = family.Or(v.HiddenAct, "silu")
	f.WindowSize = family.Or(v.WindowSize, 112)
	f.FullLayers = family.Or(v.FullAttBlocks, []int{7, 15, 23, 31})
	if out := family.Or(v.OutHiddenSize, 3584); out != c.Text.HiddenSize {
		return fmt.Errorf("vision_config.out_hidden_size %d is not the text's hidden_size %d", out, c.Text.HiddenSize)
	}
	return nil
}

// square reads a side that may be given once for each axis.
// Errors go on behind the field's name.
func square(l *family.IntList, def int) (int, error) {
	if l == nil {
		return def, nil
	}
	if len(*l) == 0 || slices.Min(*l) != slices.Max(*l) {
		return 0, fmt.Errorf("%v is not implemented; the sides must be equal", []int(*l))
	}
	return (*l)[0], nil
}

// Validate implements family.Family.
func (f *Config) Validate(c *family.Config) error {
	v := &c.Vision
	if err := nn.Positive(
		nn.Dim("vision_config.embed_dim", v.HiddenSize), nn.Dim("vision_config.intermediate_size", v.IntermediateSize),
		nn.Dim("vision_config.depth", v.Layers), nn.Dim("vision_config.num_heads", v.Heads),
		nn.Dim("vision_config.patch_size", v.PatchSize), nn.Dim("vision_config.in_channels", v.Channels),
		nn.Dim("vision_config.spatial_merge_size", v.MergeSize), nn.Dim("vision_config.temporal_patch_size", v.TemporalSize),
	); err != nil {
		return err
	}
	switch {
	case v.Layers > nn.MaxLayers:
		return fmt.Errorf("vision_config.depth %d is more than %d", v.Layers, nn.MaxLayers)
	// Half of a head's pairs are the row's and half the column's, and a pair has two values.
	case v.HiddenSize%v.Heads != 0 || v.HiddenSize/v.Heads%4 != 0:
		return fmt.Errorf("vision_config.num_heads %d does not divide the tower's width %d into heads of a multiple of 4", v.Heads, v.HiddenSize)
	case f.VideoTokenID == c.ImageTokenID:
		return fmt.Errorf("video_token_id and image_token_id are both %d", c.ImageTokenID)
	}
	return nil
}

// Validate implements family.Family.
func (f *Config25) Validate(c *family.Config) error {
	v := &c.Vision
	if err := f.Config.Validate(c); err != nil {
		return err
	}
	switch {
	case v.Act != "silu":
		return fmt.Errorf("vision_config.hidden_act %q is not implemented; known: silu", v.Act)
	case f.WindowSize/(v.MergeSize*v.PatchSize) < 1:
		return fmt.Errorf("vision_config.window_size %d is less than the %d pixels of a token", f.WindowSize, v.MergeSize*v.PatchSize)
	}
	return nil
}

// json is the flat layout of the released files, which transformers 5
// reads too.
// in_chans and spatial_patch_size are other names of in_channels and patch_size, as released
// files have them.
func (f *Config) json(c *family.Config, class string, vision map[string]any) map[string]any {
	v := &c.Vision
	top := c.TextJSON()
	delete(top, "head_dim")
	vision["model_type"] = c.Type
	vision["depth"], vision["num_heads"], vision["hidden_act"] = v.Layers, v.Heads, v.Act
	vision["in_channels"], vision["in_chans"], vision["patch_size"], vision["spatial_patch_size"] = v.Channels, v.Channels, v.PatchSize, v.PatchSize
	vision["spatial_merge_size"], vision["temporal_patch_size"] = v.MergeSize, v.TemporalSize
	vision["torch_dtype"] = c.DType
	top["model_type"], top["architectures"] = c.Type, []string{class}
	top["vision_config"] = vision
	top["use_sliding_window"] = false
	top["image_token_id"], top["video_token_id"] = c.ImageTokenID, f.VideoTokenID
	top["vision_start_token_id"], top["vision_end_token_id"] = f.VisionStartID, f.VisionEndID
	c.TokensJSON(top)
	return top
}

// JSON implements family.Family.
func (f *Config) JSON(c *family.Config) map[string]any {
	return f.json(c, "Qwen2VLForConditionalGeneration", map[string]any{
		"embed_dim": c.Vision.HiddenSize, "hidden_size": c.Text.HiddenSize,
		"mlp_ratio": float64(c.Vision.IntermediateSize) / float64(c.Vision.HiddenSize),
	})
}

// JSON implements family.Family.
func (f *Config25) JSON(c *family.Config) map[string]any {
	return f.json(c, "Qwen2_5_VLForConditionalGeneration", map[string]any{
		"hidden_size": c.Vision.HiddenSize, "intermediate_size": c.Vision.IntermediateSize,
		"out_hidden_size": c.Text.HiddenSize, "window_size": f.WindowSize,
		"fullatt_block_indexes": f.FullLayers,
	})
}
