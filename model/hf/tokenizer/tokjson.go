package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"

	"vgid/model/hf/plainjson"
)

// maxTokenID bounds ids so that a hostile file cannot make the table huge.
const maxTokenID = 1 << 24

// tokenizerJSON is tokenizer.json; components are decoded by their "type".
type tokenizerJSON struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
	Padding       json.RawMessage `json:"padding"`
}

// addedToken is a token matched in the text before the model sees it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`

	split bool // its text is text, as split_special_tokens asks
}

type modelJSON struct {
	Type         string           `json:"type"`
	Dropout      *float64         `json:"dropout"`
	Unk          *string          `json:"unk_token"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	FuseUnk      bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocab        map[string]int32 `json:"vocab"`
	Merges       []mergeJSON      `json:"merges"`
}

// mergeJSON accepts both spellings of a merge: "a b" and ["a", "b"].
type mergeJSON [2]string

func (m *mergeJSON) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var list []string
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		if len(list) != 2 {
			return fmt.Errorf("a merge has two parts, found %d", len(list))
		}
		*m = mergeJSON(list)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	a, c, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(c, " ") {
		return fmt.Errorf("merge %q is not two parts with one space between", s)
	}
	*m = mergeJSON{a, c}
	return nil
}

// modelType gives the model's type; old files leave it out.
func modelType(raw json.RawMessage) (string, error) {
	var t struct {
		Type   string          `json:"type"`
		Merges json.RawMessage `json:"merges"`
	}
	if err := plainjson.Unmarshal(raw, &t); err != nil {
		return "", err
	}
	if t.Type == "" && t.Merges != nil {
		return "BPE", nil
	}
	return t.Type, nil
}

// isNull reports whether an optional component is absent.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// pattern is the {"String": …} or {"Regex": …} of Split and Replace.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// component holds the fields of every supported normalizer, pre-tokenizer,
// post-processor and decoder; each reads its own.
type component struct {
	Type string `json:"type"`

	Normalizers   []json.RawMessage `json:"normalizers"`
	PreTokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
	Decoders      []json.RawMessage `json:"decoders"`

	Prepend      string  `json:"prepend"`
	Pattern      pattern `json:"pattern"`
	Content      string  `json:"content"`
	StripLeft    bool    `json:"strip_left"`
	StripRight   bool    `json:"strip_right"`
	Start        int     `json:"start"`
	Stop         int     `json:"stop"`
	Behavior     string  `json:"behavior"`
	Invert       bool    `json:"invert"`
	AddPrefix    *bool   `json:"add_prefix_space"`
	UseRegex     *bool   `json:"use_regex"`
	Individual   bool    `json:"individual_digits"`
	Replacement  string  `json:"replacement"`
	PrependMode  string  `json:"prepend_scheme"`
	MetaSplit    *bool   `json:"split"`
	CleanText    bool    `json:"clean_text"`
	Chinese      bool    `json:"handle_chinese_chars"`
	StripAccents *bool   `json:"strip_accents"`
	Lowercase    bool    `json:"lowercase"`
	Charsmap     string  `json:"precompiled_charsmap"`
	Prefix       string  `json:"prefix"`
	Cleanup      bool    `json:"cleanup"`
	Suffix       string  `json:"suffix"`
	Delimiter    string  `json:"delimiter"`
	Single       []piece `json:"single"`
	SpecialToken map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
	Cls json.RawMessage `json:"cls"`
	Sep json.RawMessage `json:"sep"`
}

// piece is one step of a TemplateProcessing template.
type piece struct {
	Special *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

func parseComponent(raw json.RawMessage) (component, error) {
	var c component
	err := plainjson.Unmarshal(raw, &c)
	return c, err
}
