package subword

import (
	"encoding/json"
	"fmt"
	"strings"

	"vgid/model/kit/plainjson"
)

// MaxTokenID bounds ids so that a hostile file cannot make the table huge.
// Vocabularies that are in use have less than a million tokens.
const MaxTokenID = 1 << 24

// modelJSON is the model of type BPE.
// Pointers tell null, which files write, from an empty text.
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

// The list is what tokenizers writes since 0.20, because tokens with a space in them have no other
// spelling.
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

// ModelType gives the model's type; old files leave it out.
func ModelType(raw json.RawMessage) (string, error) {
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
