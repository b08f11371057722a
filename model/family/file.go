package family

import (
	"encoding/json"

	"vgid/model/kit/plainjson"
)

// File is a config.json as it was read.
type File struct {
	Fields
	Raw []byte // of which a family reads its own fields
}

// Fields mirrors what every family has in config.json; a nil field was missing or
// null.
type Fields struct {
	ModelType         string      `json:"model_type"`
	TextConfig        *TextFields `json:"text_config"`
	ImageTokenIndex   *int        `json:"image_token_index"`
	ImageTokenID      *int        `json:"image_token_id"`
	TieWordEmbeddings *bool       `json:"tie_word_embeddings"`
	PadTokenID        *int        `json:"pad_token_id"`
	BOSTokenID        *int        `json:"bos_token_id"`
	EOSTokenID        *IntList    `json:"eos_token_id"`
	DType             *string     `json:"dtype"`
	TorchDType        *string     `json:"torch_dtype"`
	MMVisionTower     *string     `json:"mm_vision_tower"` // of the layout of LLaVA's authors alone
}

// TextFields mirrors the part of the decoder.
type TextFields struct {
	ModelType             *string     `json:"model_type"`
	VocabSize             *int        `json:"vocab_size"`
	HiddenSize            *int        `json:"hidden_size"`
	IntermediateSize      *int        `json:"intermediate_size"`
	NumHiddenLayers       *int        `json:"num_hidden_layers"`
	NumAttentionHeads     *int        `json:"num_attention_heads"`
	NumKeyValueHeads      Nullable    `json:"num_key_value_heads"`
	HeadDim               *int        `json:"head_dim"`
	HiddenAct             *string     `json:"hidden_act"`
	MaxPositionEmbeddings *int        `json:"max_position_embeddings"`
	RMSNormEps            *float64    `json:"rms_norm_eps"`
	RopeTheta             *float64    `json:"rope_theta"`
	RopeScaling           *RoPEFields `json:"rope_scaling"`
	RopeParameters        *RoPEFields `json:"rope_parameters"`
	AttentionBias         *bool       `json:"attention_bias"`
	MLPBias               *bool       `json:"mlp_bias"`
	TieWordEmbeddings     *bool       `json:"tie_word_embeddings"`
	AttentionDropout      *float64    `json:"attention_dropout"`
	PretrainingTP         *int        `json:"pretraining_tp"`
	UseSlidingWindow      *bool       `json:"use_sliding_window"`
	LayerTypes            []string    `json:"layer_types"`
	PadTokenID            *int        `json:"pad_token_id"`
	BOSTokenID            *int        `json:"bos_token_id"`
	EOSTokenID            *IntList    `json:"eos_token_id"`
}

// RoPEFields mirrors rope_parameters, or rope_scaling as transformers 4 calls it.
type RoPEFields struct {
	RopeTheta                     *float64 `json:"rope_theta"`
	RopeType                      *string  `json:"rope_type"`
	Type                          *string  `json:"type"`
	Factor                        *float64 `json:"factor"`
	LowFreqFactor                 *float64 `json:"low_freq_factor"`
	HighFreqFactor                *float64 `json:"high_freq_factor"`
	OriginalMaxPositionEmbeddings *int     `json:"original_max_position_embeddings"`
	PartialRotaryFactor           *float64 `json:"partial_rotary_factor"`
	MRoPESection                  []int    `json:"mrope_section"`
}

// Nullable tells a null from a field that is missing.
type Nullable struct {
	given bool
	n     *int
}

func (x *Nullable) UnmarshalJSON(b []byte) error {
	x.given = true
	return json.Unmarshal(b, &x.n)
}

// IntList is a number or a list of numbers.
type IntList = plainjson.OneOrMany[int]
