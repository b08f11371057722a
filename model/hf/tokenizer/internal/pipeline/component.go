package pipeline

import (
	"encoding/json"

	"vgid/model/kit/plainjson"
)

// pattern is the {"String": …} or {"Regex": …} of Split and Replace.
// One of the two is set; a file with neither is refused by who reads it.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// component holds the fields of every supported normalizer, pre-tokenizer,
// post-processor and decoder; each reads its own.
// Pointers tell a field that is left out from one that is false or empty: defaults differ by type.
// A field may mean other things to other types: Content is a replacement, or the character that
// Strip takes away.
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
// Files also give type_id, which numbers the texts of a pair and is not needed for one.
type piece struct {
	Special *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// parseComponent reads the fields of a component, whatever its type.
func parseComponent(raw json.RawMessage) (component, error) {
	var c component
	err := plainjson.Unmarshal(raw, &c)
	return c, err
}
