package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"vgid/model/decoding"
	"vgid/model/kit/plainjson"
)

// GenerationConfig is what is used of generation_config.json; nil fields were
// absent. Sampling settings and lengths are the caller's.
// Pointers tell a field that is absent from one that is 0: 0 is a token's id as good as any.
type GenerationConfig struct {
	BOS *int32   `json:"bos_token_id,omitempty"`
	EOS TokenIDs `json:"eos_token_id,omitempty"`
	Pad *int32   `json:"pad_token_id,omitempty"`

	RepetitionPenalty        *float64               `json:"repetition_penalty,omitempty"`
	EncoderRepetitionPenalty *float64               `json:"encoder_repetition_penalty,omitempty"`
	NoRepeatNGramSize        int                    `json:"no_repeat_ngram_size,omitempty"`
	EncoderNoRepeatNGramSize int                    `json:"encoder_no_repeat_ngram_size,omitempty"`
	SequenceBias             []sequenceBias         `json:"sequence_bias,omitempty"`
	BadWordsIDs              [][]int32              `json:"bad_words_ids,omitempty"`
	MinLength                int                    `json:"min_length,omitempty"`
	MinNewTokens             int                    `json:"min_new_tokens,omitempty"`
	ForcedBOS                *int32                 `json:"forced_bos_token_id,omitempty"`
	ForcedEOS                TokenIDs               `json:"forced_eos_token_id,omitempty"`
	RemoveInvalidValues      bool                   `json:"remove_invalid_values,omitempty"`
	ExponentialDecay         *lengthDecay           `json:"exponential_decay_length_penalty,omitempty"`
	SuppressTokens           []int32                `json:"suppress_tokens,omitempty"`
	BeginSuppressTokens      []int32                `json:"begin_suppress_tokens,omitempty"`
	StopStrings              plainjson.List[string] `json:"stop_strings,omitempty"`
}

// TokenIDs are one id or a list of ids, as eos_token_id is written.
type TokenIDs = plainjson.OneOrMany[int32]

// sequenceBias is [[ids], number].
// The types of package decoding have no JSON form: they are what a file means, not how it says
// so.
type sequenceBias decoding.Bias

func (s *sequenceBias) UnmarshalJSON(b []byte) error {
	return pair(b, "sequence_bias", "a list of ids and a number", &s.Tokens, &s.Add)
}

func (s sequenceBias) MarshalJSON() ([]byte, error) { return json.Marshal([]any{s.Tokens, s.Add}) }

// lengthDecay is [tokens, factor].
type lengthDecay decoding.Decay

func (d *lengthDecay) UnmarshalJSON(b []byte) error {
	return pair(b, "exponential_decay_length_penalty", "a number of tokens and a factor", &d.Start, &d.Factor)
}

func (d lengthDecay) MarshalJSON() ([]byte, error) { return json.Marshal([]any{d.Start, d.Factor}) }

// pair reads a list of two values of different kinds.
func pair(b []byte, field, what string, first, second any) error {
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil || len(list) != 2 || json.Unmarshal(list[0], first) != nil || json.Unmarshal(list[1], second) != nil {
		return fmt.Errorf("%s: %s is not a list of %s", field, b, what)
	}
	return nil
}

// ReadGenerationConfig reads how answers of a model folder are generated, as
// transformers 5.23 does: all of it from generation_config.json or, in a folder
// without that file, from the fields of config.json and, where those are unset,
// of its text_config. A field that asks for what is not implemented and changes
// greedy answers is refused by its name.
func ReadGenerationConfig(dir string) (GenerationConfig, error) {
	fields, path, err := generationFields(dir)
	if err != nil {
		return GenerationConfig{}, err
	}
	c, err := parseGeneration(fields)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// generationFields are the fields that count, and the file they are of.
func generationFields(dir string) (map[string]json.RawMessage, string, error) {
	path := filepath.Join(dir, "generation_config.json")
	fields, err := readFields(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return fields, path, err
	}
	path = filepath.Join(dir, "config.json")
	fields, err = readFields(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, path, nil
	}
	if err != nil {
		return nil, path, err
	}
	var text map[string]json.RawMessage
	if raw, ok := fields["text_config"]; ok {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, path, fmt.Errorf("%s: text_config: %w", path, err)
		}
	}
	// The outer fields win; null is the same as absent, in both.
	all := maps.Clone(text)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	for name, raw := range fields {
		if string(raw) != "null" {
			all[name] = raw
		}
	}
	return all, path, nil
}

// readFields reads a JSON object by its fields.
func readFields(path string) (map[string]json.RawMessage, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := plainjson.Unmarshal(b, &fields); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return fields, nil
}

// parseGeneration reads the fields that are used, and refuses those that would have to
// be.
// Fields of transformers that change nothing of greedy answers, temperature among them, are passed
// over.
func parseGeneration(fields map[string]json.RawMessage) (GenerationConfig, error) {
	var c GenerationConfig
	b, err := json.Marshal(fields)
	if err == nil {
		err = plainjson.Unmarshal(b, &c)
	}
	if err != nil {
		return c, err
	}
	for _, p := range []struct {
		name  string
		value *float64
	}{{"repetition_penalty", c.RepetitionPenalty}, {"encoder_repetition_penalty", c.EncoderRepetitionPenalty}} {
		if p.value != nil && *p.value <= 0 {
			return c, fmt.Errorf("%s %g must be positive", p.name, *p.value)
		}
	}
	// transformers refuses these two when they are empty, when it generates.
	for _, name := range []string{"sequence_bias", "bad_words_ids"} {
		if string(fields[name]) == "[]" {
			return c, fmt.Errorf("%s is empty: take it out, or give it an entry", name)
		}
	}
	return c, refuseGeneration(fields)
}

// Decoding is what changes logits.
// Absent penalties stay 0, which decoding takes for none.
func (c *GenerationConfig) Decoding() decoding.Settings {
	s := decoding.Settings{
		NoRepeatNGram: c.NoRepeatNGramSize, EncoderNoRepeatNGram: c.EncoderNoRepeatNGramSize, BadWords: c.BadWordsIDs,
		MinLength: c.MinLength, MinNew: c.MinNewTokens, ForcedBOS: c.ForcedBOS, ForcedEOS: c.ForcedEOS,
		RemoveInvalid: c.RemoveInvalidValues, Decay: (*decoding.Decay)(c.ExponentialDecay),
		Suppress: c.SuppressTokens, BeginSuppress: c.BeginSuppressTokens,
	}
	for _, b := range c.SequenceBias {
		s.SequenceBias = append(s.SequenceBias, decoding.Bias(b))
	}
	if p := c.RepetitionPenalty; p != nil {
		s.RepetitionPenalty = float32(*p)
	}
	if p := c.EncoderRepetitionPenalty; p != nil {
		s.EncoderRepetitionPenalty = float32(*p)
	}
	return s
}

// WriteGenerationConfig writes dir/generation_config.json.
func WriteGenerationConfig(dir string, c GenerationConfig) error {
	return WriteJSON(filepath.Join(dir, "generation_config.json"), c)
}
