package llava

import (
	"fmt"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/kit/plainjson"
	"vgid/model/nn"
)

// Config holds the fields of config.json that only LLaVA has.
// A Config is filled by Parse and does not change afterwards.
type Config struct {
	ProjectorAct  string // Hugging Face name, e.g. "gelu"
	ProjectorBias bool
	// FeatureLayers are the vision layers whose outputs the projector reads,
	// side by side: -1 is the last layer, -2 the one before, 1 the first; 0 is
	// the input of the first.
	FeatureLayers []int
	FeatureSelect string // "default" drops the CLS token, "full" keeps it

	LayerNormEps  float64 // of the tower's norms
	ProjectionDim int     // CLIP's own, carried through files only
}

// textDefaults are LlamaConfig's defaults, which fill the sparse files of the
// released models.
var textDefaults = nn.TextConfig{
	VocabSize: 32000, HiddenSize: 4096, IntermediateSize: 11008, Layers: 32, Heads: 32,
	MaxPositions: 2048, RMSNormEps: 1e-6, RoPE: nn.RoPE{Theta: 1e4, Type: "default"},
}

// towerDefaults is the tower of a file without a vision_config; one that is given,
// if only as {}, is filled with CLIPVisionConfig's own defaults.
var towerDefaults = jsonCLIP{
	HiddenSize: new(1024), IntermediateSize: new(4096), NumHiddenLayers: new(24), NumAttentionHeads: new(16),
	ImageSize: new(336), PatchSize: new(14), ProjectionDim: new(768),
}

// jsonLLaVA are the fields of config.json that only LLaVA has.
type jsonLLaVA struct {
	VisionConfig                *jsonCLIP       `json:"vision_config"`
	ProjectorHiddenAct          *string         `json:"projector_hidden_act"`
	MultimodalProjectorBias     *bool           `json:"multimodal_projector_bias"`
	VisionFeatureLayer          *family.IntList `json:"vision_feature_layer"`
	VisionFeatureSelectStrategy *string         `json:"vision_feature_select_strategy"`
}

// jsonCLIP is vision_config. Pointers tell a field that is left out, which has a default, from one
// that is 0.
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

// Parse implements family.Family.
func (f *Config) Parse(c *family.Config, file *family.File) error {
	var j jsonLLaVA
	if err := plainjson.Unmarshal(file.Raw, &j); err != nil {
		return err
	}
	text := file.TextConfig
	if text == nil {
		text = &family.TextFields{}
	}
	if m := family.Or(text.ModelType, "llama"); m != "llama" {
		return fmt.Errorf("text_config.model_type %q is not implemented; known: llama", m)
	}
	if err := family.ParseText(&c.Text, text, textDefaults); err != nil {
		return c.TextError(err)
	}
	tower := family.Or(j.VisionConfig, towerDefaults)
	if err := f.parseCLIP(&c.Vision, &tower); err != nil {
		return fmt.Errorf("vision_config.%w", err)
	}
	c.ParseTokens(file, text)
	// Files of transformers 4 say image_token_index, newer ones image_token_id.
	c.ImageTokenID = family.FirstOf(file.ImageTokenID, file.ImageTokenIndex, 32000)
	f.ProjectorAct = family.Or(j.ProjectorHiddenAct, "gelu")
	f.ProjectorBias = family.Or(j.MultimodalProjectorBias, true)
	f.FeatureSelect = family.Or(j.VisionFeatureSelectStrategy, "default")
	f.FeatureLayers = family.Or(j.VisionFeatureLayer, family.IntList{-2})
	return nil
}

// parseCLIP fills in CLIPVisionConfig's defaults. Errors begin with the
// field's name.
// They are not towerDefaults, which are those of LLaVA's tower: transformers has both.
func (f *Config) parseCLIP(v *nn.VisionConfig, j *jsonCLIP) error {
	if m := family.Or(j.ModelType, "clip_vision_model"); m != "clip_vision_model" {
		return fmt.Errorf("model_type %q is not implemented; known: clip_vision_model", m)
	}
	if d := family.Or(j.AttentionDropout, 0); d != 0 {
		return fmt.Errorf("attention_dropout %g is not implemented; use 0", d)
	}
	*v = nn.VisionConfig{
		HiddenSize:       family.Or(j.HiddenSize, 768),
		IntermediateSize: family.Or(j.IntermediateSize, 3072),
		Layers:           family.Or(j.NumHiddenLayers, 12),
		Heads:            family.Or(j.NumAttentionHeads, 12),
		ImageSize:        family.Or(j.ImageSize, 224),
		PatchSize:        family.Or(j.PatchSize, 32),
		Channels:         family.Or(j.NumChannels, 3),
		Act:              family.Or(j.HiddenAct, "quick_gelu"),
	}
	f.LayerNormEps, f.ProjectionDim = family.Or(j.LayerNormEps, 1e-5), family.Or(j.ProjectionDim, 512)
	return nil
}

// Validate implements family.Family.
func (f *Config) Validate(c *family.Config) error {
	v := &c.Vision
	if err := nn.Positive(
		nn.Dim("vision_config.hidden_size", v.HiddenSize), nn.Dim("vision_config.intermediate_size", v.IntermediateSize),
		nn.Dim("vision_config.num_hidden_layers", v.Layers), nn.Dim("vision_config.num_attention_heads", v.Heads),
		nn.Dim("vision_config.image_size", v.ImageSize), nn.Dim("vision_config.patch_size", v.PatchSize),
		nn.Dim("vision_config.num_channels", v.Channels),
	); err != nil {
		return err
	}
	switch {
	case v.Layers > nn.MaxLayers:
		return fmt.Errorf("vision_config.num_hidden_layers %d is more than %d", v.Layers, nn.MaxLayers)
	case v.HiddenSize%v.Heads != 0:
		return fmt.Errorf("vision_config.num_attention_heads %d does not divide hidden_size %d", v.Heads, v.HiddenSize)
	case v.ImageSize%v.PatchSize != 0:
		return fmt.Errorf("vision_config.patch_size %d does not divide image_size %d", v.PatchSize, v.ImageSize)
	case f.FeatureSelect != "default" && f.FeatureSelect != "full":
		return fmt.Errorf("vision_feature_select_strategy %q is not implemented; use default or full", f.FeatureSelect)
	case len(f.FeatureLayers) == 0:
		return fmt.Errorf("vision_feature_layer is empty")
	}
	for _, l := range f.FeatureLayers {
		// There are Layers + 1 hidden states, counted from either end.
		if l > v.Layers || l < -v.Layers-1 {
			return fmt.Errorf("vision_feature_layer %d: the tower has %d layers", l, v.Layers)
		}
	}
	if _, ok := nn.Activations[f.ProjectorAct]; !ok {
		return fmt.Errorf("projector_hidden_act %q is not implemented", f.ProjectorAct)
	}
	return nil
}

// JSON implements family.Family.
// The tokens stand at the top and in text_config: releases of transformers read one or the other.
func (f *Config) JSON(c *family.Config) map[string]any {
	v := &c.Vision
	text := c.TextJSON()
	text["model_type"], text["architectures"] = "llama", []string{"LlamaForCausalLM"}
	text["attention_bias"], text["mlp_bias"] = c.Text.AttentionBias, c.Text.MLPBias
	top := map[string]any{
		"model_type": "llava", "architectures": []string{"LlavaForConditionalGeneration"},
		"text_config": text,
		"vision_config": map[string]any{
			"model_type": "clip_vision_model", "hidden_size": v.HiddenSize, "intermediate_size": v.IntermediateSize,
			"num_hidden_layers": v.Layers, "num_attention_heads": v.Heads, "num_channels": v.Channels,
			"image_size": v.ImageSize, "patch_size": v.PatchSize, "hidden_act": v.Act,
			"layer_norm_eps": f.LayerNormEps, "attention_dropout": 0.0, "projection_dim": f.ProjectionDim,
			"torch_dtype": c.DType,
		},
		"image_token_index": c.ImageTokenID, "image_seq_length": c.ImageTokens(imaging.Grid{}),
		"projector_hidden_act": f.ProjectorAct, "multimodal_projector_bias": f.ProjectorBias,
		"vision_feature_layer": family.IntList(f.FeatureLayers), "vision_feature_select_strategy": f.FeatureSelect,
		"tie_word_embeddings": c.Text.TieEmbeddings, "torch_dtype": c.DType,
	}
	c.TokensJSON(top)
	c.TokensJSON(text)
	return top
}
