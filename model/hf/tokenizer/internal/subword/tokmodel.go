package subword

import (
	"encoding/json"
	"fmt"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/kit/plainjson"
)

// Model turns the words that a pre-tokenizer makes into ids.
// What must hold: the ids of a word depend on the word alone.
type Model interface {
	// Encode appends the ids of one word to dst.
	Encode(dst []int32, word string, w *Work) []int32
	// Kind is one of those below.
	Kind() string
	// Spelling is what a token stands for in a text, without the marks that tell
	// where a word goes on or ends.
	Spelling(token string) string
}

// Kinds of models.
const (
	KindBPE      = "BPE"
	KindFallback = "BPE with byte fallback"
	KindUnigram  = "Unigram"
	KindPiece    = "WordPiece"
	KindLevel    = "WordLevel"
)

// New reads the "model" object of tokenizer.json and gives its tokens by
// id, too. With byteLevel, words come as raw bytes.
// Errors begin with the field's name in tokenizer.json.
func New(raw json.RawMessage, byteLevel bool) (Model, []string, error) {
	kind, err := ModelType(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	var m Model
	var tokens []string
	switch kind {
	case "BPE":
		var j modelJSON
		if err := plainjson.Unmarshal(raw, &j); err != nil {
			return nil, nil, fmt.Errorf("model: %w", err)
		}
		b, err := newBPE(j)
		if err != nil {
			return nil, nil, err
		}
		// A prefix or suffix is joined to characters, so that such a model cannot take raw bytes.
		if byteLevel && b.prefix == "" && b.suffix == "" {
			b.setByteLevel()
			return b, b.tokens, nil
		}
		m, tokens = b, b.tokens
	case "Unigram":
		m, tokens, err = newUnigram(raw)
	case "WordPiece":
		m, tokens, err = newWordPiece(raw)
	case "WordLevel":
		m, tokens, err = newWordLevel(raw)
	default:
		err = fmt.Errorf("model.type %q is not supported: known are BPE, Unigram, WordPiece and WordLevel", kind)
	}
	if err == nil && byteLevel {
		m = spelled{m}
	}
	return m, tokens, err
}

// spelled is a model that sees the bytes of a word in byteRune characters.
// It serves the models that have no way of their own for raw bytes.
type spelled struct{ Model }

// Encode implements Model.
func (s spelled) Encode(dst []int32, word string, w *Work) []int32 {
	return s.Model.Encode(dst, chars.ToByteLevel(word), w)
}

// tokensByID lists a vocabulary by id; "" where an id is unused.
// An empty token would look like an unused id; it is harmless, for no word is empty.
func tokensByID(vocab map[string]int32) ([]string, error) {
	top := int32(-1)
	for tok, id := range vocab {
		if id < 0 || id > MaxTokenID {
			return nil, fmt.Errorf("model.vocab: token %q: id %d is out of range", tok, id)
		}
		top = max(top, id)
	}
	tokens := make([]string, top+1)
	for tok, id := range vocab {
		if old := tokens[id]; old != "" {
			return nil, fmt.Errorf("model.vocab: id %d belongs to both %q and %q", id, old, tok)
		}
		tokens[id] = tok
	}
	return tokens, nil
}

// fallbackIDs are the ids of <0x00>…<0xFF>, -1 where missing.
func fallbackIDs(vocab map[string]int32) (ids [256]int32) {
	for b := range ids {
		ids[b] = -1
		if id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]; ok {
			ids[b] = id
		}
	}
	return ids
}

// covered reports whether every byte of s has a token.
// One byte without a token makes the whole character unknown, as in the reference.
func covered(fallback *[256]int32, s string) bool {
	for i := 0; i < len(s); i++ {
		if fallback[s[i]] < 0 {
			return false
		}
	}
	return true
}

// spelledByte is the byte of a token such as <0x0A>, and any other token itself.
func spelledByte(token string) string {
	var b byte
	if len(token) != len("<0x00>") {
		return token
	}
	// A token of six characters need not be one of these.
	if n, err := fmt.Sscanf(token, "<0x%02X>", &b); n != 1 || err != nil {
		return token
	}
	return string([]byte{b})
}
