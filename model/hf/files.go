package hf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"vgid/model/hf/plainjson"
)

// TokenIDs accepts one id or a list of ids, as eos_token_id is written.
type TokenIDs []int32

// UnmarshalJSON accepts 2, [2, 3] and null.
func (t *TokenIDs) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '[' && string(b) != "null" {
		*t = make(TokenIDs, 1)
		return json.Unmarshal(b, &(*t)[0])
	}
	return json.Unmarshal(b, (*[]int32)(t))
}

// MarshalJSON writes a single id as a number.
func (t TokenIDs) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]int32(t))
}

// GenerationConfig is generation_config.json; nil fields were absent.
type GenerationConfig struct {
	BOS          *int32   `json:"bos_token_id,omitempty"`
	EOS          TokenIDs `json:"eos_token_id,omitempty"`
	Pad          *int32   `json:"pad_token_id,omitempty"`
	DoSample     *bool    `json:"do_sample,omitempty"`
	Temperature  *float64 `json:"temperature,omitempty"`
	TopK         *int     `json:"top_k,omitempty"`
	TopP         *float64 `json:"top_p,omitempty"`
	MaxLength    *int     `json:"max_length,omitempty"`
	MaxNewTokens *int     `json:"max_new_tokens,omitempty"`

	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"`
}

// ReadGenerationConfig reads dir/generation_config.json. The error wraps
// fs.ErrNotExist when the folder has none, which is common.
func ReadGenerationConfig(dir string) (GenerationConfig, error) {
	var c GenerationConfig
	path := filepath.Join(dir, "generation_config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := plainjson.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if p := c.RepetitionPenalty; p != nil && *p <= 0 {
		return c, fmt.Errorf("%s: repetition_penalty %g must be positive", path, *p)
	}
	return c, nil
}

// WriteGenerationConfig writes dir/generation_config.json.
func WriteGenerationConfig(dir string, c GenerationConfig) error {
	return WriteJSON(filepath.Join(dir, "generation_config.json"), c)
}
