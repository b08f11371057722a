package model

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The structs below mirror config.json; a nil field was missing or null.
type jsonConfig struct {
	ModelType                   string     `json:"model_type"`
	TextConfig                  jsonText   `json:"text_config"`
	VisionConfig                jsonVision `json:"vision_config"`
	ImageTokenIndex             *int       `json:"image_token_index"`
	ImageTokenID                *int       `json:"image_token_id"`
	ProjectorHiddenAct          *string    `json:"projector_hidden_act"`
	MultimodalProjectorBias     *bool      `json:"multimodal_projector_bias"`
	VisionFeatureLayer          *intList   `json:"vision_feature_layer"`
	VisionFeatureSelectStrategy *string    `json:"vision_feature_select_strategy"`
	TieWordEmbeddings           *bool      `json:"tie_word_embeddings"`
	PadTokenID                  *int       `json:"pad_token_id"`
	BOSTokenID                  *int       `json:"bos_token_id"`
	EOSTokenID                  *intList   `json:"eos_token_id"`
	DType                       *string    `json:"dtype"`
	TorchDType                  *string    `json:"torch_dtype"`
}

type jsonText struct {
	ModelType             *string   `json:"model_type"`
	VocabSize             *int      `json:"vocab_size"`
	HiddenSize            *int      `json:"hidden_size"`
	IntermediateSize      *int      `json:"intermediate_size"`
	NumHiddenLayers       *int      `json:"num_hidden_layers"`
	NumAttentionHeads     *int      `json:"num_attention_heads"`
	NumKeyValueHeads      *int      `json:"num_key_value_heads"`
	HeadDim               *int      `json:"head_dim"`
	HiddenAct             *string   `json:"hidden_act"`
	MaxPositionEmbeddings *int      `json:"max_position_embeddings"`
	RMSNormEps            *float64  `json:"rms_norm_eps"`
	RopeTheta             *float64  `json:"rope_theta"`
	RopeScaling           *jsonRoPE `json:"rope_scaling"`
	RopeParameters        *jsonRoPE `json:"rope_parameters"`
	AttentionBias         *bool     `json:"attention_bias"`
	MLPBias               *bool     `json:"mlp_bias"`
	TieWordEmbeddings     *bool     `json:"tie_word_embeddings"`
	AttentionDropout      *float64  `json:"attention_dropout"`
	PretrainingTP         *int      `json:"pretraining_tp"`
	PadTokenID            *int      `json:"pad_token_id"`
	BOSTokenID            *int      `json:"bos_token_id"`
	EOSTokenID            *intList  `json:"eos_token_id"`
}

type jsonRoPE struct {
	RopeTheta                     *float64 `json:"rope_theta"`
	RopeType                      *string  `json:"rope_type"`
	Type                          *string  `json:"type"`
	Factor                        *float64 `json:"factor"`
	LowFreqFactor                 *float64 `json:"low_freq_factor"`
	HighFreqFactor                *float64 `json:"high_freq_factor"`
	OriginalMaxPositionEmbeddings *int     `json:"original_max_position_embeddings"`
	PartialRotaryFactor           *float64 `json:"partial_rotary_factor"`
}

type jsonVision struct {
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

// intList reads a number or a list of numbers.
type intList []int

func (l *intList) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]int)(l))
	}
	var n int
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*l = intList{n}
	return nil
}

func (l intList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]int(l))
}

// parse fills in LlamaConfig's defaults. Errors begin with the field's name.
func (t *TextConfig) parse(j jsonText) error {
	if m := or(j.ModelType, "llama"); m != "llama" {
		return fmt.Errorf("model_type %q is not implemented; known: llama", m)
	}
	if a := or(j.HiddenAct, "silu"); a != "silu" {
		return fmt.Errorf("hidden_act %q is not implemented; known: silu", a)
	}
	if d := or(j.AttentionDropout, 0); d != 0 {
		return fmt.Errorf("attention_dropout %g is not implemented; use 0", d)
	}
	if n := or(j.PretrainingTP, 1); n > 1 {
		return fmt.Errorf("pretraining_tp %d is not implemented; use 1", n)
	}
	*t = TextConfig{
		VocabSize:        or(j.VocabSize, 32000),
		HiddenSize:       or(j.HiddenSize, 4096),
		IntermediateSize: or(j.IntermediateSize, 11008),
		Layers:           or(j.NumHiddenLayers, 32),
		Heads:            or(j.NumAttentionHeads, 32),
		MaxPositions:     or(j.MaxPositionEmbeddings, 2048),
		RMSNormEps:       or(j.RMSNormEps, 1e-6),
		AttentionBias:    or(j.AttentionBias, false),
		MLPBias:          or(j.MLPBias, false),
		TieEmbeddings:    or(j.TieWordEmbeddings, false),
	}
	t.KVHeads = or(j.NumKeyValueHeads, t.Heads)
	if t.Heads > 0 {
		t.HeadDim = or(j.HeadDim, t.HiddenSize/t.Heads)
	}
	t.RoPE = RoPE{Theta: or(j.RopeTheta, 1e4), Type: "default"}
	for _, r := range []*jsonRoPE{j.RopeScaling, j.RopeParameters} {
		if r == nil {
			continue
		}
		if f := or(r.PartialRotaryFactor, 1); f != 1 {
			return fmt.Errorf("rope_parameters.partial_rotary_factor %g is not implemented; use 1", f)
		}
		t.RoPE = RoPE{
			Theta:                or(r.RopeTheta, t.RoPE.Theta),
			Type:                 firstOf(r.RopeType, r.Type, "default"),
			Factor:               or(r.Factor, 0),
			LowFreqFactor:        or(r.LowFreqFactor, 0),
			HighFreqFactor:       or(r.HighFreqFactor, 0),
			OriginalMaxPositions: or(r.OriginalMaxPositionEmbeddings, 0),
		}
	}
	return nil
}

// parse fills in CLIPVisionConfig's defaults. Errors begin with the field's name.
func (v *VisionConfig) parse(j jsonVision) error {
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

// JSON is a config.json that transformers 4 and 5 both read: the spellings of
// 4, which 5 translates.
func (c *Config) JSON() ([]byte, error) {
	t, v := c.Text, c.Vision
	text := map[string]any{
		"model_type": "llama", "architectures": []string{"LlamaForCausalLM"},
		"vocab_size": t.VocabSize, "hidden_size": t.HiddenSize, "intermediate_size": t.IntermediateSize,
		"num_hidden_layers": t.Layers, "num_attention_heads": t.Heads, "num_key_value_heads": t.KVHeads,
		"head_dim": t.HeadDim, "hidden_act": "silu", "max_position_embeddings": t.MaxPositions,
		"rms_norm_eps": t.RMSNormEps, "rope_theta": t.RoPE.Theta, "rope_scaling": t.RoPE.scaling(),
		"attention_bias": t.AttentionBias, "mlp_bias": t.MLPBias, "attention_dropout": 0.0,
		"tie_word_embeddings": t.TieEmbeddings, "torch_dtype": c.DType,
	}
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
		"image_token_index": c.ImageTokenID, "image_seq_length": c.NumImageTokens(),
		"projector_hidden_act": c.ProjectorAct, "multimodal_projector_bias": c.ProjectorBias,
		"vision_feature_layer": intList(c.FeatureLayers), "vision_feature_select_strategy": c.FeatureSelect,
		"tie_word_embeddings": t.TieEmbeddings, "torch_dtype": c.DType,
	}
	c.tokenIDs(top)
	c.tokenIDs(text)
	b, err := json.MarshalIndent(top, "", "  ")
	return append(b, '\n'), err
}

// tokenIDs writes null for what the files did not name: the classes' defaults
// would name tokens that mean something else here.
func (c *Config) tokenIDs(m map[string]any) {
	id := func(n int) any {
		if n < 0 {
			return nil
		}
		return n
	}
	m["bos_token_id"], m["pad_token_id"], m["eos_token_id"] = id(c.BOSTokenID), id(c.PadTokenID), nil
	if len(c.EOSTokenID) > 0 {
		m["eos_token_id"] = intList(c.EOSTokenID)
	}
}

func (r RoPE) scaling() any {
	switch r.Type {
	case "linear":
		return map[string]any{"rope_type": r.Type, "factor": r.Factor}
	case "llama3":
		return map[string]any{
			"rope_type": r.Type, "factor": r.Factor, "low_freq_factor": r.LowFreqFactor,
			"high_freq_factor": r.HighFreqFactor, "original_max_position_embeddings": r.OriginalMaxPositions,
		}
	}
	return nil
}
