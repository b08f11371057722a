package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// WriteGenerationConfig writes dir/generation_config.json.
func WriteGenerationConfig(dir string, c GenerationConfig) error {
	return writeJSON(filepath.Join(dir, "generation_config.json"), c)
}

// ReadChatTemplate gives the Jinja source of the folder's chat template, not
// rendered: from chat_template.jinja, chat_template.json or the field of
// tokenizer_config.json, in this order. A folder without one gives "".
func ReadChatTemplate(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err == nil {
		return string(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range []string{"chat_template.json", "tokenizer_config.json"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		t, err := templateField(b)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if t != "" {
			return t, nil
		}
	}
	return "", nil
}

// templateField reads chat_template: a string, or a list of named ones of
// which "default" is meant.
func templateField(b []byte) (string, error) {
	var o struct {
		T json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(b, &o); err != nil || isNull(o.T) {
		return "", err
	}
	var s string
	if json.Unmarshal(o.T, &s) == nil {
		return s, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(o.T, &list); err != nil {
		return "", fmt.Errorf("chat_template is neither a string nor a list of named templates")
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", fmt.Errorf(`chat_template has no template named "default"`)
}
