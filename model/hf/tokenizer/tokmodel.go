package tokenizer

import (
	"encoding/json"
	"fmt"

	"vgid/model/hf/plainjson"
)

// tokenModel appends the ids of one pre-tokenized word to dst.
type tokenModel interface {
	encode(dst []int32, word string, w *bpeWork) []int32
}

// newModel reads the "model" object of tokenizer.json and gives its tokens by
// id, too. With byteLevel, words come as raw bytes.
func newModel(raw json.RawMessage, byteLevel bool) (tokenModel, []string, error) {
	kind, err := modelType(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	var m tokenModel
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
type spelled struct{ tokenModel }

func (s spelled) encode(dst []int32, word string, w *bpeWork) []int32 {
	return s.tokenModel.encode(dst, toByteLevel(word), w)
}

// tokensByID lists a vocabulary by id; "" where an id is unused.
func tokensByID(vocab map[string]int32) ([]string, error) {
	top := int32(-1)
	for tok, id := range vocab {
		if id < 0 || id > maxTokenID {
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
func covered(fallback *[256]int32, s string) bool {
	for i := 0; i < len(s); i++ {
		if fallback[s[i]] < 0 {
			return false
		}
	}
	return true
}
