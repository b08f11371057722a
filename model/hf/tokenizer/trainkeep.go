package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"

	"vgid/model/hf"
	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/hf/tokenizer/internal/pipeline"
	"vgid/model/hf/tokenizer/internal/subword"
)

// keepWords gives every kept word a token of its own. The learned merges are
// cut back until the merges that complete the words fit; those come last, so
// they change the segmentation of nothing but what they complete.
// A kept word is one token wherever it stands, so that the first token of an answer tells which
// word it is.
func (t *trainer) keepWords() error {
	words := make([]string, 0, len(t.o.KeepWords))
	for _, k := range t.o.KeepWords {
		word := " " + k
		if n := pipeline.GPT2Split.Next(word); k == "" || n != len(word) {
			return fmt.Errorf("KeepWords: %q is not one word for the tokenizer: it is split after %q", k, word[1:max(n, 1)])
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return nil
	}
	if c := t.cut(0, words); len(c.tokens) > t.o.VocabSize {
		return fmt.Errorf("KeepWords: VocabSize %d is too small for %d words, at least %d", t.o.VocabSize, len(words), len(c.tokens))
	}
	// Give up learned merges, the rarest first, until there is room. Few are
	// missing from the top; from the bottom there would be no telling, because
	// words that are completed early cost merges that learned ones would share.
	for n := len(t.merges); ; {
		c := t.cut(n, words)
		over := len(c.tokens) - t.o.VocabSize
		if over <= 0 {
			*t = *c
			return nil
		}
		n = max(0, n-over)
	}
}

// cut is the trainer with only its first n merges, plus those that complete words.
func (t *trainer) cut(n int, words []string) *trainer {
	c := &trainer{o: t.o, ids: map[string]int32{}, byteID: t.byteID}
	first := len(t.o.Special)
	c.tokens = append(c.tokens, t.tokens[:first+256]...)
	for id := first; id < first+256; id++ {
		c.ids[t.tokens[id]] = int32(id)
	}
	m := subword.NewBytes(t.byteID)
	add := func(a, b int32) {
		id := c.token(c.tokens[a] + c.tokens[b])
		m.Merge(a, b, id)
		c.merges = append(c.merges, pairMerge{a, b, id})
	}
	// Ids are given in the order of the merges, so a prefix keeps its ids.
	for _, p := range t.merges[:n] {
		add(p.a, p.b)
	}
	var w subword.Work
	for _, word := range words {
		for ids := m.Split(word, &w); len(ids) > 1; ids = m.Split(word, &w) {
			add(ids[0], ids[1])
		}
	}
	return c
}

// spell is a token as tokenizer.json writes it.
// tokenizer.json is text, and bytes that are no UTF-8 have no other spelling in it.
func (t *trainer) spell(id int32) string {
	if int(id) < len(t.o.Special) {
		return t.tokens[id]
	}
	return chars.ToByteLevel(t.tokens[id])
}

// write stores tokenizer.json and tokenizer_config.json.
func (t *trainer) write(dir string) error {
	vocab, err := t.vocabJSON()
	if err != nil {
		return err
	}
	merges := make([][2]string, len(t.merges))
	for i, m := range t.merges {
		merges[i] = [2]string{t.spell(m.a), t.spell(m.b)}
	}
	added := make([]addedToken, len(t.o.Special))
	for i, s := range t.o.Special {
		added[i] = addedToken{ID: int32(i), Content: s, Special: true}
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	post := any(byteLevel)
	if t.o.AddBOS {
		post = t.bosTemplate()
	}
	err = hf.WriteJSON(filepath.Join(dir, "tokenizer.json"), map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil,
		"added_tokens": added, "normalizer": nil,
		"pre_tokenizer": byteLevel, "post_processor": post, "decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
			"end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocab, "merges": merges,
		},
	})
	if err != nil {
		return err
	}
	return hf.WriteJSON(filepath.Join(dir, "tokenizer_config.json"), t.configJSON())
}

// vocabJSON lists the vocabulary by id; a Go map would be written by spelling.
func (t *trainer) vocabJSON() (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for id := range t.tokens {
		sep := byte(',')
		if id == 0 {
			sep = '{'
		}
		b.WriteByte(sep)
		if err := e.Encode(t.spell(int32(id))); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ":%d", id)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// bosTemplate puts <s> before the text.
func (t *trainer) bosTemplate() map[string]any {
	var id int
	for i, s := range t.o.Special {
		if s == "<s>" {
			id = i
		}
	}
	bos := map[string]any{"SpecialToken": map[string]any{"id": "<s>", "type_id": 0}}
	seq := func(name string, typ int) map[string]any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": typ}}
	}
	return map[string]any{
		"type":   "TemplateProcessing",
		"single": []any{bos, seq("A", 0)},
		"pair":   []any{bos, seq("A", 0), seq("B", 1)},
		"special_tokens": map[string]any{
			"<s>": map[string]any{"id": "<s>", "ids": []int{id}, "tokens": []string{"<s>"}},
		},
	}
}

// configJSON names the roles of the special tokens.
// The class is the one that takes tokenizer.json as it stands, and model_max_length a number that
// limits nothing.
func (t *trainer) configJSON() map[string]any {
	roles := map[string]string{"<pad>": "pad_token", "<s>": "bos_token", "</s>": "eos_token", "<unk>": "unk_token"}
	extra := []string{}
	c := map[string]any{
		"tokenizer_class":              "PreTrainedTokenizerFast",
		"clean_up_tokenization_spaces": false,
		"add_prefix_space":             false,
		"model_max_length":             int64(1e9),
	}
	for _, s := range t.o.Special {
		if role := roles[s]; role != "" {
			c[role] = s
		} else {
			extra = append(extra, s)
		}
	}
	c["additional_special_tokens"] = extra
	return c
}
