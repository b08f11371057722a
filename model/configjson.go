package model

import (
	"encoding/json"
	"fmt"

	"vgid/model/hf/plainjson"
)

// configFile is a config.json as it was read.
type configFile struct {
	jsonConfig
	raw []byte
}

// The structs below mirror config.json; a nil field was missing or null.
type jsonConfig struct {
	ModelType          string    `json:"model_type"`
	TextConfig         *jsonText `json:"text_config"`
	ImageTokenIndex    *int      `json:"image_token_index"`
	ImageTokenID       *int      `json:"image_token_id"`
	VideoTokenID       *int      `json:"video_token_id"`
	VisionStartTokenID *int      `json:"vision_start_token_id"`
	VisionEndTokenID   *int      `json:"vision_end_token_id"`
	TieWordEmbeddings  *bool     `json:"tie_word_embeddings"`
	PadTokenID         *int      `json:"pad_token_id"`
	BOSTokenID         *int      `json:"bos_token_id"`
	EOSTokenID         *intList  `json:"eos_token_id"`
	DType              *string   `json:"dtype"`
	TorchDType         *string   `json:"torch_dtype"`
	MMVisionTower      *string   `json:"mm_vision_tower"` // of the layout of LLaVA's authors alone
}

type jsonText struct {
	ModelType             *string   `json:"model_type"`
	VocabSize             *int      `json:"vocab_size"`
	HiddenSize            *int      `json:"hidden_size"`
	IntermediateSize      *int      `json:"intermediate_size"`
	NumHiddenLayers       *int      `json:"num_hidden_layers"`
	NumAttentionHeads     *int      `json:"num_attention_heads"`
	NumKeyValueHeads      nullable  `json:"num_key_value_heads"`
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
	UseSlidingWindow      *bool     `json:"use_sliding_window"`
	LayerTypes            []string  `json:"layer_types"`
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
	MRoPESection                  []int    `json:"mrope_section"`
}

// nullable tells a null from a field that is missing.
type nullable struct {
	given bool
	n     *int
}

func (x *nullable) UnmarshalJSON(b []byte) error {
	x.given = true
	return json.Unmarshal(b, &x.n)
}

// intList is a number or a list of numbers.
type intList = plainjson.OneOrMany[int]

// parse fills in the fields of the file; those it lacks are d's. Errors begin
// with the field's name.
func (t *TextConfig) parse(j *jsonText, d TextConfig) error {
	if a := or(j.HiddenAct, "silu"); a != "silu" {
		return fmt.Errorf("hidden_act %q is not implemented; known: silu", a)
	}
	if d := or(j.AttentionDropout, 0); d != 0 {
		return fmt.Errorf("attention_dropout %g is not implemented; use 0", d)
	}
	if n := or(j.PretrainingTP, 1); n > 1 {
		return fmt.Errorf("pretraining_tp %d is not implemented; use 1", n)
	}
	if or(j.UseSlidingWindow, false) {
		return fmt.Errorf("use_sliding_window is not implemented; use false")
	}
	for _, l := range j.LayerTypes {
		if l != "full_attention" {
			return fmt.Errorf("layer_types: %q is not implemented; known: full_attention", l)
		}
	}
	*t = TextConfig{
		VocabSize:        or(j.VocabSize, d.VocabSize),
		HiddenSize:       or(j.HiddenSize, d.HiddenSize),
		IntermediateSize: or(j.IntermediateSize, d.IntermediateSize),
		Layers:           or(j.NumHiddenLayers, d.Layers),
		Heads:            or(j.NumAttentionHeads, d.Heads),
		MaxPositions:     or(j.MaxPositionEmbeddings, d.MaxPositions),
		RMSNormEps:       or(j.RMSNormEps, d.RMSNormEps),
		AttentionBias:    or(j.AttentionBias, d.AttentionBias),
		QKVBias:          d.QKVBias,
		MLPBias:          or(j.MLPBias, d.MLPBias),
		RoPE:             d.RoPE,
	}
	// A null means as many as there are heads, whatever the default.
	if t.KVHeads = d.KVHeads; t.KVHeads == 0 || j.NumKeyValueHeads.given {
		t.KVHeads = t.Heads
	}
	t.KVHeads = or(j.NumKeyValueHeads.n, t.KVHeads)
	if t.Heads > 0 {
		t.HeadDim = or(j.HeadDim, t.HiddenSize/t.Heads)
	}
	t.RoPE.Theta = or(j.RopeTheta, d.RoPE.Theta)
	for _, r := range []*jsonRoPE{j.RopeScaling, j.RopeParameters} {
		if r == nil {
			continue
		}
		if err := t.RoPE.parse(r); err != nil {
			return err
		}
	}
	return nil
}

func (r *RoPE) parse(j *jsonRoPE) error {
	if f := or(j.PartialRotaryFactor, 1); f != 1 {
		return fmt.Errorf("rope_parameters.partial_rotary_factor %g is not implemented; use 1", f)
	}
	*r = RoPE{
		Theta:                or(j.RopeTheta, r.Theta),
		Type:                 firstOf(j.RopeType, j.Type, "default"),
		Factor:               or(j.Factor, 0),
		LowFreqFactor:        or(j.LowFreqFactor, 0),
		HighFreqFactor:       or(j.HighFreqFactor, 0),
		OriginalMaxPositions: or(j.OriginalMaxPositionEmbeddings, 0),
		Sections:             r.Sections,
	}
	if r.Type == "mrope" {
		if r.Sections == ([3]int{}) {
			return fmt.Errorf("rope_scaling of type mrope is not implemented for this model_type")
		}
		r.Type = "default"
	}
	if j.MRoPESection != nil {
		if r.Sections == ([3]int{}) || len(j.MRoPESection) != len(r.Sections) {
			return fmt.Errorf("rope_scaling.mrope_section %v is not implemented; Qwen2-VL has three numbers", j.MRoPESection)
		}
		copy(r.Sections[:], j.MRoPESection)
	}
	return nil
}

// tokens fills in the special tokens and the ties, which stand at the top
// level, in the text's part, or in both.
func (c *Config) tokens(f *configFile, t *jsonText) {
	c.PadTokenID = firstOf(f.PadTokenID, t.PadTokenID, -1)
	c.BOSTokenID = firstOf(f.BOSTokenID, t.BOSTokenID, -1)
	for _, ids := range []*intList{t.EOSTokenID, f.EOSTokenID} {
		if ids != nil {
			c.EOSTokenID = *ids
		}
	}
	c.Text.TieEmbeddings = or(f.TieWordEmbeddings, false) || or(t.TieWordEmbeddings, false)
}

// JSON is a config.json that transformers 4 and 5 both read: the spellings of
// 4, which 5 translates.
func (c *Config) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(c.family().json(c), "", "  ")
	return append(b, '\n'), err
}

// json is the part of config.json that describes the decoder.
func (t *TextConfig) json(dtype string) map[string]any {
	return map[string]any{
		"vocab_size": t.VocabSize, "hidden_size": t.HiddenSize, "intermediate_size": t.IntermediateSize,
		"num_hidden_layers": t.Layers, "num_attention_heads": t.Heads, "num_key_value_heads": t.KVHeads,
		"head_dim": t.HeadDim, "hidden_act": "silu", "max_position_embeddings": t.MaxPositions,
		"rms_norm_eps": t.RMSNormEps, "rope_theta": t.RoPE.Theta, "rope_scaling": t.RoPE.scaling(),
		"attention_dropout": 0.0, "tie_word_embeddings": t.TieEmbeddings, "torch_dtype": dtype,
	}
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
	if r.Sections != [3]int{} {
		return map[string]any{"type": "mrope", "mrope_section": r.Sections}
	}
	switch r.Type {
	case "linear", "dynamic":
		return map[string]any{"rope_type": r.Type, "factor": r.Factor}
	case "llama3":
		return map[string]any{
			"rope_type": r.Type, "factor": r.Factor, "low_freq_factor": r.LowFreqFactor,
			"high_freq_factor": r.HighFreqFactor, "original_max_position_embeddings": r.OriginalMaxPositions,
		}
	}
	return nil
}
