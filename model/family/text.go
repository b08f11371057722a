package family

import (
	"encoding/json"
	"fmt"

	"vgid/model/nn"
)

// ParseText fills in the fields of the file; those it lacks are d's. Errors begin
// with the field's name.
func ParseText(t *nn.TextConfig, j *TextFields, d nn.TextConfig) error {
	if a := Or(j.HiddenAct, "silu"); a != "silu" {
		return fmt.Errorf("hidden_act %q is not implemented; known: silu", a)
	}
	if d := Or(j.AttentionDropout, 0); d != 0 {
		return fmt.Errorf("attention_dropout %g is not implemented; use 0", d)
	}
	if n := Or(j.PretrainingTP, 1); n > 1 {
		return fmt.Errorf("pretraining_tp %d is not implemented; use 1", n)
	}
	if Or(j.UseSlidingWindow, false) {
		return fmt.Errorf("use_sliding_window is not implemented; use false")
	}
	for _, l := range j.LayerTypes {
		if l != "full_attention" {
			return fmt.Errorf("layer_types: %q is not implemented; known: full_attention", l)
		}
	}
	*t = nn.TextConfig{
		VocabSize:        Or(j.VocabSize, d.VocabSize),
		HiddenSize:       Or(j.HiddenSize, d.HiddenSize),
		IntermediateSize: Or(j.IntermediateSize, d.IntermediateSize),
		Layers:           Or(j.NumHiddenLayers, d.Layers),
		Heads:            Or(j.NumAttentionHeads, d.Heads),
		MaxPositions:     Or(j.MaxPositionEmbeddings, d.MaxPositions),
		RMSNormEps:       Or(j.RMSNormEps, d.RMSNormEps),
		AttentionBias:    Or(j.AttentionBias, d.AttentionBias),
		QKVBias:          d.QKVBias,
		MLPBias:          Or(j.MLPBias, d.MLPBias),
		RoPE:             d.RoPE,
	}
	// A null means as many as there are heads, whatever the default.
	if t.KVHeads = d.KVHeads; t.KVHeads == 0 || j.NumKeyValueHeads.given {
		t.KVHeads = t.Heads
	}
	t.KVHeads = Or(j.NumKeyValueHeads.n, t.KVHeads)
	if t.Heads > 0 {
		t.HeadDim = Or(j.HeadDim, t.HiddenSize/t.Heads)
	}
	t.RoPE.Theta = Or(j.RopeTheta, d.RoPE.Theta)
	for _, r := range []*RoPEFields{j.RopeScaling, j.RopeParameters} {
		if r == nil {
			continue
		}
		if err := parseRoPE(&t.RoPE, r); err != nil {
			return err
		}
	}
	return nil
}

// parseRoPE fills in the fields of the file; those it lacks stay r's.
func parseRoPE(r *nn.RoPE, j *RoPEFields) error {
	if f := Or(j.PartialRotaryFactor, 1); f != 1 {
		return fmt.Errorf("rope_parameters.partial_rotary_factor %g is not implemented; use 1", f)
	}
	*r = nn.RoPE{
		Theta:                Or(j.RopeTheta, r.Theta),
		Type:                 FirstOf(j.RopeType, j.Type, "default"),
		Factor:               Or(j.Factor, 0),
		LowFreqFactor:        Or(j.LowFreqFactor, 0),
		HighFreqFactor:       Or(j.HighFreqFactor, 0),
		OriginalMaxPositions: Or(j.OriginalMaxPositionEmbeddings, 0),
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

// ParseTokens fills in the special tokens and the ties, which stand at the top
// level, in the text's part, or in both.
func (c *Config) ParseTokens(f *File, t *TextFields) {
	c.PadTokenID = FirstOf(f.PadTokenID, t.PadTokenID, -1)
	c.BOSTokenID = FirstOf(f.BOSTokenID, t.BOSTokenID, -1)
	for _, ids := range []*IntList{t.EOSTokenID, f.EOSTokenID} {
		if ids != nil {
			c.EOSTokenID = *ids
		}
	}
	c.Text.TieEmbeddings = Or(f.TieWordEmbeddings, false) || Or(t.TieWordEmbeddings, false)
}

// JSON is a config.json that transformers 4 and 5 both read: the spellings of
// 4, which 5 translates.
func (c *Config) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(c.Family.JSON(c), "", "  ")
	return append(b, '\n'), err
}

// TextJSON is the part of config.json that describes the decoder.
func (c *Config) TextJSON() map[string]any {
	t := &c.Text
	return map[string]any{
		"vocab_size": t.VocabSize, "hidden_size": t.HiddenSize, "intermediate_size": t.IntermediateSize,
		"num_hidden_layers": t.Layers, "num_attention_heads": t.Heads, "num_key_value_heads": t.KVHeads,
		"head_dim": t.HeadDim, "hidden_act": "silu", "max_position_embeddings": t.MaxPositions,
		"rms_norm_eps": t.RMSNormEps, "rope_theta": t.RoPE.Theta, "rope_scaling": scaling(t.RoPE),
		"attention_dropout": 0.0, "tie_word_embeddings": t.TieEmbeddings, "torch_dtype": c.DType,
	}
}

// TokensJSON writes the special tokens to m, null for what the files did not
// name: the classes' defaults would name tokens that mean something else here.
func (c *Config) TokensJSON(m map[string]any) {
	id := func(n int) any {
		if n < 0 {
			return nil
		}
		return n
	}
	m["bos_token_id"], m["pad_token_id"], m["eos_token_id"] = id(c.BOSTokenID), id(c.PadTokenID), nil
	if len(c.EOSTokenID) > 0 {
		m["eos_token_id"] = IntList(c.EOSTokenID)
	}
}

func scaling(r nn.RoPE) any {
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
