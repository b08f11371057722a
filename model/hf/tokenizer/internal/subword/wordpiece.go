package subword

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// wordPiece takes the longest token from the left, again and again; a word
// with a part that no token fits is unknown as a whole.
// maxChars counts characters: longer words are unknown without being looked at.
type wordPiece struct {
	vocab    map[string]int32
	unk      int32
	prefix   string // of tokens that continue a word
	maxChars int
}

// wordLevel knows whole words only.
type wordLevel struct {
	vocab map[string]int32
	unk   int32
}

// wordsJSON is the model of type WordPiece, or WordLevel, which has less.
type wordsJSON struct {
	Unk      *string          `json:"unk_token"`
	Prefix   *string          `json:"continuing_subword_prefix"`
	MaxChars *int             `json:"max_input_chars_per_word"`
	Vocab    map[string]int32 `json:"vocab"`
}

// readWords reads what WordPiece and WordLevel share; unk is the name of the
// unknown token where the file gives none.
func readWords(raw json.RawMessage, unk string) (j wordsJSON, tokens []string, id int32, err error) {
	if err := json.Unmarshal(raw, &j); err != nil {
		return j, nil, 0, fmt.Errorf("model: %w", err)
	}
	if j.Unk != nil {
		unk = *j.Unk
	}
	id, ok := j.Vocab[unk]
	if !ok {
		return j, nil, 0, fmt.Errorf("model.unk_token %q is not in model.vocab", unk)
	}
	tokens, err = tokensByID(j.Vocab)
	return j, tokens, id, err
}

// newWordPiece reads the model, with the library's defaults for what is left out.
// They are [UNK], ## and 100 (tokenizers, models/wordpiece).
func newWordPiece(raw json.RawMessage) (*wordPiece, []string, error) {
	j, tokens, unk, err := readWords(raw, "[UNK]")
	if err != nil {
		return nil, nil, err
	}
	m := &wordPiece{vocab: j.Vocab, unk: unk, prefix: "##", maxChars: 100}
	if j.Prefix != nil {
		m.prefix = *j.Prefix
	}
	if j.MaxChars != nil {
		m.maxChars = *j.MaxChars
	}
	return m, tokens, nil
}

// newWordLevel reads the model.
func newWordLevel(raw json.RawMessage) (*wordLevel, []string, error) {
	j, tokens, unk, err := readWords(raw, "<unk>")
	if err != nil {
		return nil, nil, err
	}
	return &wordLevel{j.Vocab, unk}, tokens, nil
}

// Kind implements Model.
func (*wordPiece) Kind() string { return KindPiece }

// Spelling implements Model.
func (m *wordPiece) Spelling(token string) string { return strings.TrimPrefix(token, m.prefix) }

// Encode looks for the longest token from the left, shortening by a character at a
// time. Where none fits the whole word is unknown, also what was found before.
// The text that is looked up is put together in w, since the map takes a []byte as string without a
// copy.
func (m *wordPiece) Encode(dst []int32, word string, w *Work) []int32 {
	if utf8.RuneCountInString(word) > m.maxChars {
		return append(dst, m.unk)
	}
	from := len(dst)
	for start := 0; start < len(word); {
		end := len(word)
		for ; end > start; end -= lastLen(word[start:end]) {
			w.text = w.text[:0]
			if start > 0 {
				w.text = append(w.text, m.prefix...)
			}
			w.text = append(w.text, word[start:end]...)
			if id, ok := m.vocab[string(w.text)]; ok {
				dst = append(dst, id)
				break
			}
		}
		if end == start {
			return append(dst[:from], m.unk)
		}
		start = end
	}
	return dst
}

// lastLen is the length of the last character.
func lastLen(s string) int {
	_, n := utf8.DecodeLastRuneInString(s)
	return n
}

// Kind implements Model.
func (*wordLevel) Kind() string { return KindLevel }

// Spelling implements Model.
func (*wordLevel) Spelling(token string) string { return token }

// Encode gives a word's id, or that of the unknown token.
func (m *wordLevel) Encode(dst []int32, word string, _ *Work) []int32 {
	if id, ok := m.vocab[word]; ok {
		return append(dst, id)
	}
	return append(dst, m.unk)
}
