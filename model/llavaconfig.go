package model

import (
	"fmt"

	"vgid/model/hf/imaging"
	"vgid/model/hf/plainjson"
)

// llavaText are LlamaConfig's defaults, which fill the sparse files of the
// released models.
var llavaText = TextConfig{
	VocabSize: 32000, HiddenSize: 4096, IntermediateSize: 11008, Layers: 32, Heads: 32,
	MaxPositions: 2048, RMSNormEps: 1e-6, RoPE: RoPE{Theta: 1e4, Type: "default"},
}

// llavaTower is the tower of a file without a vision_config; one that is given,
// if only as {}, is filled with CLIPVisionConfig's own defaults.
var llavaTower = jsonCLIP{
	HiddenSize: new(1024), IntermediateSize: new(4096), NumHiddenLayers: new(24), NumAttentionHeads: new(16),
	ImageSize: new(336), PatchSize: new(14), ProjectionDim: new(768),
}

// jsonLLaVA are the fields of config.json that only LLaVA has.
type jsonLLaVA struct {
	VisionConfig                *jsonCLIP `json:"vision_config"`
	ProjectorHiddenAct          *string   `json:"projector_hidden_act"`
	MultimodalProjectorBias     *bool     `json:"multimodal_projector_bias"`
	VisionFeatureLayer          *intList  `json:"vision_feature_layer"`
	VisionFeatureSelectStrategy *string   `json:"vision_feature_select_strategy"`
}

type jsonCLIP struct {
	ModelType         *string  `json:"model_type"`
	HiddenSize        *int     `json:"hidden_size"`
	IntermediateSize  *int     `json:"intermediate_size"`
	NumHiddenLayers   *int     `json:"num_hidden_layers"`
	NumAttentionHeads *int     `json:"num_attention_heads"`
	NumChannels       *int     `json:"num_channels"`
	ImageSize         *int     `json:"image_size"`
	PatchSize         *int     `json:"patch_size"`
	HiddenAct         *string  `json:"hidden_act"`
	LayerNormEps      *float64 `json:"layer_norm_eps"`
	AttentionDropout  *float64 `json:"attention_dropout"`
	ProjectionDim     *int     `json:"projection_dim"`
}

func (llavaFamily) parse(c *Config, f *configFile) error {
	var j jsonLLaVA
	if err := plainjson.Unmarshal(f.raw, &j); err != nil {
		return err
	}
	text := f.TextConfig
	if text == nil {
		text = &jsonText{}
	}
	if m := or(text.ModelType, "llama"); m != "llama" {
		return fmt.Errorf("text_config.model_type %q is not implemented; known: llama", m)
	}
	if err := c.Text.parse(text, llavaText); err != nil {
		return c.textError(err)
	}
	tower := or(j.VisionConfig, llavaTower)
	if err := c.Vision.parseCLIP(&tower); err != nil {
		return fmt.Errorf("vision_config.%w", err)
	}
	c.tokens(f, text)
	c.ImageTokenID = firstOf(f.ImageTokenID, f.ImageTokenIndex, 32000)
	c.ProjectorAct = or(j.ProjectorHiddenAct, "gelu")
	c.ProjectorBias = or(j.MultimodalProjectorBias, true)
	c.FeatureSelect = or(j.VisionFeatureSelectStrategy, "default")
	c.FeatureLayers = or(j.VisionFeatureLayer, intList{-2})
	return nil
}

// parseCLIP fills in CLIPVisionConfig's defaults. Errors begin with the
// field's name.
func (v *VisionConfig) parseCLIP(j *jsonCLIP) error {
	if m := or(j.ModelType, "clip_vision_model"); m != "clip_vision_model" {
		return fmt.Errorf("model_type %q is not implemented; known: clip_vision_model", m)
	}
	if d := or(j.AttentionDropout, 0); d != 0 {
		return fmt.Errorf("attention_dropout %g is not implemented; use 0", d)
	}
	*v = VisionConfig{
		HiddenSize:       or(j.HiddenSize, 768),
		IntermediateSize: or(j.IntermediateSize, 3072),
		Layers:           or(j.NumHiddenLayers, 12),
		Heads:            or(j.NumAttentionHeads, 12),
		ImageSize:        or(j.ImageSize, 224),
		PatchSize:        or(j.PatchSize, 32),
		Channels:         or(j.NumChannels, 3),
		Act:              or(j.HiddenAct, "quick_gelu"),
		LayerNormEps:     or(j.LayerNormEps, 1e-5),
		ProjectionDim:    or(j.ProjectionDim, 512),
	}
	return nil
}

func (llavaFamily) validate(c *Config) error {
	v := &c.Vision
	if err := positive(
		size{"vision_config.hidden_size", v.HiddenSize}, size{"vision_config.intermediate_size", v.IntermediateSize},
		size{"vision_config.num_hidden_layers", v.Layers}, size{"vision_config.num_attention_heads", v.Heads},
		size{"vision_config.image_size", v.ImageSize}, size{"vision_config.patch_size", v.PatchSize},
		size{"vision_config.num_channels", v.Channels},
	); err != nil {
		return err
	}
	switch {
	case v.Layers > maxLayers:
		return fmt.Errorf("vision_config.num_hidden_layers %d is more than %d", v.Layers, maxLayers)
	case v.HiddenSize%v.Heads != 0:
		return fmt.Errorf("vision_config.num_attention_heads %d does not divide hidden_size %d", v.Heads, v.HiddenSize)
	case v.ImageSize%v.PatchSize != 0:
		return fmt.Errorf("vision_config.patch_size %d does not divide image_size %d", v.PatchSize, v.ImageSize)
	case c.FeatureSelect != "default" && c.FeatureSelect != "full":
		return fmt.Errorf("vision_feature_select_strategy %q is not implemented; use default or full", c.FeatureSelect)
	case len(c.FeatureLayers) == 0:
		return fmt.Errorf("vision_feature_layer is empty")
	}
	for _, l := range c.FeatureLayers {
		if l > v.Layers || l < -v.Layers-1 {
			return fmt.Errorf("vision_feature_layer %d: the tower has %d layers", l, v.Layers)
		}
	}
	if _, ok := activations[c.ProjectorAct]; !ok {
		return fmt.Errorf("projector_hidden_act %q is not implemented", c.ProjectorAct)
	}
	return nil
}

func (llavaFamily) json(c *Config) map[string]any {
	v := &c.Vision
	text := c.Text.json(c.DType)
	text["model_type"], text["architectures"] = "llama", []string{"LlamaForCausalLM"}
	text["attention_bias"], text["mlp_bias"] = c.Text.AttentionBias, c.Text.MLPBias
	top := map[string]any{
		"model_type": "llava", "architectures": []string{"LlavaForConditionalGeneration"},
		"text_config": text,
		"vision_config": map[string]any{
			"model_type": "clip_vision_model", "hidden_size": v.HiddenSize, "intermediate_size": v.IntermediateSize,
			"num_hidden_layers": v.Layers, "num_attention_heads": v.Heads, "num_channels": v.Channels,
			"image_size": v.ImageSize, "patch_size": v.PatchSize, "hidden_act": v.Act,
			"layer_norm_eps": v.LayerNormEps, "attention_dropout": 0.0, "projection_dim": v.ProjectionDim,
			"torch_dtype": c.DType,
		},
		"image_token_index": c.ImageTokenID, "image_seq_length": c.ImageTokens(imaging.Grid{}),
		"projector_hidden_act": c.ProjectorAct, "multimodal_projector_bias": c.ProjectorBias,
		"vision_feature_layer": intList(c.FeatureLayers), "vision_feature_select_strategy": c.FeatureSelect,
		"tie_word_embeddings": c.Text.TieEmbeddings, "torch_dtype": c.DType,
	}
	c.tokenIDs(top)
	c.tokenIDs(text)
	return top
}
