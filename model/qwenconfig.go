package model

import (
	"fmt"
	"slices"

	"vgid/model/hf/plainjson"
)

// qwenText are the defaults of Qwen2VLTextConfig and Qwen2_5_VLTextConfig.
var qwenText = TextConfig{
	VocabSize: 152064, HiddenSize: 8192, IntermediateSize: 29568, Layers: 80, Heads: 64, KVHeads: 8,
	MaxPositions: 32768, RMSNormEps: 1e-5, QKVBias: true,
	RoPE: RoPE{Theta: 1e6, Type: "default", Sections: [3]int{16, 24, 24}},
}

// jsonQwen is the vision_config of both families; hidden_size is the text's
// width in Qwen2-VL and the tower's own in Qwen2.5-VL.
type jsonQwen struct {
	VisionConfig struct {
		Depth             *int      `json:"depth"`
		EmbedDim          *int      `json:"embed_dim"`
		HiddenSize        *int      `json:"hidden_size"`
		OutHiddenSize     *int      `json:"out_hidden_size"`
		IntermediateSize  *int      `json:"intermediate_size"`
		MLPRatio          *float64  `json:"mlp_ratio"`
		NumHeads          *int      `json:"num_heads"`
		HiddenAct         *string   `json:"hidden_act"`
		InChannels        *int      `json:"in_channels"`
		PatchSize         *intList  `json:"patch_size"`
		SpatialMergeSize  *int      `json:"spatial_merge_size"`
		TemporalPatchSize *intList  `json:"temporal_patch_size"`
		WindowSize        *int      `json:"window_size"`
		FullAttBlocks     *[]int    `json:"fullatt_block_indexes"`
		RopeParameters    *jsonRoPE `json:"rope_parameters"`
	} `json:"vision_config"`
}

// parseQwen reads what both families have. Released files are flat: the text's
// fields stand at the top level; newer ones keep them in text_config.
func parseQwen(c *Config, f *configFile) (*jsonQwen, error) {
	var j jsonQwen
	if err := plainjson.Unmarshal(f.raw, &j); err != nil {
		return nil, err
	}
	text := f.TextConfig
	if text == nil {
		c.flat, text = true, &jsonText{}
		if err := plainjson.Unmarshal(f.raw, text); err != nil {
			return nil, err
		}
	}
	if m := or(text.ModelType, c.Type); m != c.Type && m != c.Type+"_text" {
		return nil, fmt.Errorf("text_config.model_type %q is not implemented; known: %s_text", m, c.Type)
	}
	// The classes read neither of these.
	text.AttentionBias, text.MLPBias, text.HeadDim = nil, nil, nil
	if err := c.Text.parse(text, qwenText); err != nil {
		return nil, c.textError(err)
	}
	c.tokens(f, text)
	c.ImageTokenID = or(f.ImageTokenID, 151655)
	c.VideoTokenID = or(f.VideoTokenID, 151656)
	c.VisionStartID = or(f.VisionStartTokenID, 151652)
	c.VisionEndID = or(f.VisionEndTokenID, 151653)

	v := &j.VisionConfig
	c.Vision = VisionConfig{
		Layers: or(v.Depth, 32), Heads: or(v.NumHeads, 16),
		Channels: or(v.InChannels, 3), MergeSize: or(v.SpatialMergeSize, 2),
	}
	var err error
	if c.Vision.PatchSize, err = square(v.PatchSize, 14); err != nil {
		return nil, fmt.Errorf("vision_config.patch_size %w", err)
	}
	if c.Vision.TemporalSize, err = square(v.TemporalPatchSize, 2); err != nil {
		return nil, fmt.Errorf("vision_config.temporal_patch_size %w", err)
	}
	if r := v.RopeParameters; r != nil {
		if t := firstOf(r.RopeType, r.Type, "axial"); t != "axial" {
			return nil, fmt.Errorf("vision_config.rope_parameters.rope_type %q is not implemented; known: axial", t)
		}
		if theta := or(r.RopeTheta, qwenTowerTheta); theta != qwenTowerTheta {
			return nil, fmt.Errorf("vision_config.rope_parameters.rope_theta %g is not implemented; use %g", theta, qwenTowerTheta)
		}
	}
	return &j, nil
}

func (qwen2VLFamily) parse(c *Config, f *configFile) error {
	j, err := parseQwen(c, f)
	if err != nil {
		return err
	}
	v := &j.VisionConfig
	c.Vision.HiddenSize = or(v.EmbedDim, 1280)
	c.Vision.Act = or(v.HiddenAct, "quick_gelu")
	if out := or(v.HiddenSize, 3584); out != c.Text.HiddenSize {
		return fmt.Errorf("vision_config.hidden_size %d is not the text's hidden_size %d", out, c.Text.HiddenSize)
	}
	width := float64(c.Vision.HiddenSize) * or(v.MLPRatio, 4)
	if c.Vision.IntermediateSize = int(width); float64(c.Vision.IntermediateSize) != width {
		return fmt.Errorf("vision_config.mlp_ratio %g does not give a whole width", or(v.MLPRatio, 4))
	}
	return nil
}

func (qwen25VLFamily) parse(c *Config, f *configFile) error {
	j, err := parseQwen(c, f)
	if err != nil {
		return err
	}
	v := &j.VisionConfig
	c.Vision.HiddenSize = or(v.HiddenSize, 3584)
	c.Vision.IntermediateSize = or(v.IntermediateSize, 3420)
	c.Vision.Act = or(v.HiddenAct, "silu")
	c.Vision.WindowSize = or(v.WindowSize, 112)
	c.Vision.FullLayers = or(v.FullAttBlocks, []int{7, 15, 23, 31})
	if out := or(v.OutHiddenSize, 3584); out != c.Text.HiddenSize {
		return fmt.Errorf("vision_config.out_hidden_size %d is not the text's hidden_size %d", out, c.Text.HiddenSize)
	}
	return nil
}

// square reads a side that may be given once for each axis.
func square(l *intList, def int) (int, error) {
	if l == nil {
		return def, nil
	}
	if len(*l) == 0 || slices.Min(*l) != slices.Max(*l) {
		return 0, fmt.Errorf("%v is not implemented; the sides must be equal", []int(*l))
	}
	return (*l)[0], nil
}

func (qwen2VLFamily) validate(c *Config) error {
	v := &c.Vision
	if err := positive(
		size{"vision_config.embed_dim", v.HiddenSize}, size{"vision_config.intermediate_size", v.IntermediateSize},
		size{"vision_config.depth", v.Layers}, size{"vision_config.num_heads", v.Heads},
		size{"vision_config.patch_size", v.PatchSize}, size{"vision_config.in_channels", v.Channels},
		size{"vision_config.spatial_merge_size", v.MergeSize}, size{"vision_config.temporal_patch_size", v.TemporalSize},
	); err != nil {
		return err
	}
	switch {
	case v.Layers > maxLayers:
		return fmt.Errorf("vision_config.depth %d is more than %d", v.Layers, maxLayers)
	case v.HiddenSize%v.Heads != 0 || v.HiddenSize/v.Heads%4 != 0:
		return fmt.Errorf("vision_config.num_heads %d does not divide the tower's width %d into heads of a multiple of 4", v.Heads, v.HiddenSize)
	case c.VideoTokenID == c.ImageTokenID:
		return fmt.Errorf("video_token_id and image_token_id are both %d", c.ImageTokenID)
	}
	return nil
}

func (f qwen25VLFamily) validate(c *Config) error {
	v := &c.Vision
	if err := f.qwen2VLFamily.validate(c); err != nil {
		return err
	}
	switch {
	case v.Act != "silu":
		return fmt.Errorf("vision_config.hidden_act %q is not implemented; known: silu", v.Act)
	case v.WindowSize/(v.MergeSize*v.PatchSize) < 1:
		return fmt.Errorf("vision_config.window_size %d is less than the %d pixels of a token", v.WindowSize, v.MergeSize*v.PatchSize)
	}
	return nil
}

// qwenJSON is the flat layout of the released files, which transformers 5
// reads too.
func (c *Config) qwenJSON(class string, vision map[string]any) map[string]any {
	v := &c.Vision
	top := c.Text.json(c.DType)
	delete(top, "head_dim")
	vision["model_type"] = c.Type
	vision["depth"], vision["num_heads"], vision["hidden_act"] = v.Layers, v.Heads, v.Act
	vision["in_channels"], vision["in_chans"], vision["patch_size"], vision["spatial_patch_size"] = v.Channels, v.Channels, v.PatchSize, v.PatchSize
	vision["spatial_merge_size"], vision["temporal_patch_size"] = v.MergeSize, v.TemporalSize
	vision["torch_dtype"] = c.DType
	top["model_type"], top["architectures"] = c.Type, []string{class}
	top["vision_config"] = vision
	top["use_sliding_window"] = false
	top["image_token_id"], top["video_token_id"] = c.ImageTokenID, c.VideoTokenID
	top["vision_start_token_id"], top["vision_end_token_id"] = c.VisionStartID, c.VisionEndID
	c.tokenIDs(top)
	return top
}

func (qwen2VLFamily) json(c *Config) map[string]any {
	return c.qwenJSON("Qwen2VLForConditionalGeneration", map[string]any{
		"embed_dim": c.Vision.HiddenSize, "hidden_size": c.Text.HiddenSize,
		"mlp_ratio": float64(c.Vision.IntermediateSize) / float64(c.Vision.HiddenSize),
	})
}

func (qwen25VLFamily) json(c *Config) map[string]any {
	return c.qwenJSON("Qwen2_5_VLForConditionalGeneration", map[string]any{
		"hidden_size": c.Vision.HiddenSize, "intermediate_size": c.Vision.IntermediateSize,
		"out_hidden_size": c.Text.HiddenSize, "window_size": c.Vision.WindowSize,
		"fullatt_block_indexes": c.Vision.FullLayers,
	})
}
