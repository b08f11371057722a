package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"vgid/model/hf/plainjson"
)

// tokenizerConfig is what is used of tokenizer_config.json.
type tokenizerConfig struct {
	Named map[string]string     // bos_token, eos_token, image_token and the like
	Added map[string]addedToken // added_tokens_decoder, by id
}

// namedTokens are the roles a special token may have.
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// tokenName accepts "tok", {"content": "tok"} and null.
type tokenName string

func (n *tokenName) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var o struct {
			Content string `json:"content"`
		}
		err := json.Unmarshal(b, &o)
		*n = tokenName(o.Content)
		return err
	}
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return err
	}
	*n = tokenName(*s)
	return nil
}

func readTokenizerConfig(dir string) (tokenizerConfig, error) {
	c := tokenizerConfig{Named: map[string]string{}}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, err
		}
		if err := c.read(b); err != nil {
			return c, fmt.Errorf("%s: %w", path, err)
		}
	}
	return c, nil
}

// read takes what a file says and no earlier one did.
func (c *tokenizerConfig) read(b []byte) error {
	var fields map[string]json.RawMessage
	if err := plainjson.Unmarshal(b, &fields); err != nil {
		return err
	}
	for _, name := range namedTokens {
		var tok tokenName
		if raw, ok := fields[name]; ok && c.Named[name] == "" {
			if err := json.Unmarshal(raw, &tok); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if tok != "" {
				c.Named[name] = string(tok)
			}
		}
	}
	c.readOwn(fields)
	if raw, ok := fields["added_tokens_decoder"]; ok && c.Added == nil {
		if err := json.Unmarshal(raw, &c.Added); err != nil {
			return fmt.Errorf("added_tokens_decoder: %w", err)
		}
	}
	return nil
}

// readOwn takes the tokens a model names itself, such as image_token: fields of
// their own or of a map of them. A chat template may ask for them. What is no
// token, such as add_bos_token, is none.
func (c *tokenizerConfig) readOwn(fields map[string]json.RawMessage) {
	own := map[string]json.RawMessage{}
	for name, raw := range fields {
		if strings.HasSuffix(name, "_token") {
			own[name] = raw
		}
	}
	for _, list := range []string{"extra_special_tokens", "model_specific_special_tokens"} {
		var more map[string]json.RawMessage
		if json.Unmarshal(fields[list], &more) == nil {
			maps.Copy(own, more)
		}
	}
	for name, raw := range own {
		var tok tokenName
		if json.Unmarshal(raw, &tok) == nil && tok != "" && c.Named[name] == "" {
			c.Named[name] = string(tok)
		}
	}
}

// merge appends the tokens that only tokenizer_config.json knows, by id.
func (c tokenizerConfig) merge(list []addedToken) []addedToken {
	known := map[string]bool{}
	for _, a := range list {
		known[a.Content] = true
	}
	var extra []addedToken
	for id, a := range c.Added {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			n = -1 // refused with the token's name when it is added
		}
		a.ID = int32(n)
		if !known[a.Content] {
			extra = append(extra, a)
		}
	}
	sort.Slice(extra, func(i, j int) bool { return extra[i].ID < extra[j].ID })
	return append(list, extra...)
}
