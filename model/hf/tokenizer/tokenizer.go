package tokenizer

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/hf/tokenizer/internal/pipeline"
	"vgid/model/hf/tokenizer/internal/subword"
	"vgid/model/kit/plainjson"
)

// Tokenizer is a tokenizer.json: BPE, byte-level (GPT-2, Qwen, Llama 3) or
// with byte fallback (Llama 2, Gemma), Unigram (T5), WordPiece (BERT) or
// WordLevel. It may be used by several goroutines at once. Truncation and
// padding settings in the file are ignored, as transformers does unless asked.
//
// Nothing of it changes after Load but the pool of work memory, which is safe for that.
// tokens and ids are each other's inverse, but for a spelling that an added token has taken over.
type Tokenizer struct {
	normalize pipeline.Normalizer
	pre       pipeline.PreTokenizer
	model     subword.Model
	decode    pipeline.Decoder
	post      pipeline.Template

	tokens  []string         // by id, added tokens included; "" where unused
	ids     map[string]int32 // added tokens win over the vocabulary
	special map[int32]bool
	shown   map[int32]string // what Decode takes added tokens for that the normalizer changes

	raw        addedMatcher // added tokens sought before normalization
	normalized addedMatcher // and after

	bos, eos, pad int32
	cleanUp       bool // blanks before punctuation go when decoding
	notices       []string
	work          sync.Pool
}

// Load reads dir/tokenizer.json as AutoTokenizer of transformers 5.23 does:
// with the class, the special tokens and the flags of added tokens that the
// other files of the folder give (docs/tokenizers.md has the order).
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, withoutFile(dir))
	}
	f, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	t, err := newTokenizer(b, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// withoutFile says what to do about a folder without tokenizer.json.
// The older forms are named, since they can be converted.
func withoutFile(dir string) string {
	for _, other := range []string{"tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"} {
		if _, err := os.Stat(filepath.Join(dir, other)); err == nil {
			return fmt.Sprintf("the tokenizer is in an older form, %s: AutoTokenizer.from_pretrained(…).save_pretrained(…) of transformers writes tokenizer.json", other)
		}
	}
	return "a model's folder holds its tokenizer"
}

// newTokenizer makes a tokenizer of tokenizer.json and the other files. The order is
// that of transformers: the class may replace parts of the file, and only then do the
// parts become functions, and tokens are added to the vocabulary.
func newTokenizer(b []byte, f *folder) (*Tokenizer, error) {
	var j tokenizerJSON
	if err := plainjson.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	t := &Tokenizer{}
	t.work.New = func() any { return &subword.Work{} }
	c, notice := f.class(b)
	if notice != "" {
		t.notices = append(t.notices, notice)
	}
	err := f.checkVersions()
	if err == nil && c.rebuild != nil {
		err = c.rebuild(&j, &f.config)
	}
	if err != nil {
		return nil, err
	}
	if t.normalize, err = pipeline.NewNormalizer(j.Normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if t.pre, err = pipeline.NewPreTokenizer(j.PreTokenizer); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.decode, err = pipeline.NewDecoder(j.Decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if err = t.post.Wrap(j.PostProcessor); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	if t.model, t.tokens, err = subword.New(j.Model, t.pre.ByteLevel); err != nil {
		return nil, err
	}
	s, err := f.specials(c, j.AddedTokens, j.Padding)
	if err != nil {
		return nil, err
	}
	if err := t.addTokens(j.AddedTokens, s, c, &f.config); err != nil {
		return nil, err
	}
	t.cleanUp = f.cleansUp(t.model)
	names := s.values()
	t.bos, t.eos, t.pad = t.named(names["bos_token"]), t.named(names["eos_token"]), t.named(names["pad_token"])
	return t, t.checkTemplate()
}

// addTokens gives the tokens beside the model's vocabulary their ids, and seeks
// them in texts.
func (t *Tokenizer) addTokens(filed []addedToken, s *specials, c tokenizerClass, config *object) error {
	t.ids, t.special, t.shown = make(map[string]int32, len(t.tokens)), map[int32]bool{}, map[int32]string{}
	for id, tok := range t.tokens {
		t.ids[tok] = int32(id)
	}
	// Unused ids have the empty text, which is no token.
	delete(t.ids, "")
	for _, a := range filed {
		if a.ID < 0 || a.ID > subword.MaxTokenID {
			return fmt.Errorf("added_tokens: %q: id %d is out of range", a.Content, a.ID)
		}
	}
	// v reads t.ids while t.ids is extended below; by then all ids are given.
	v := newAddedVocabulary(t.ids)
	v.addAll(filed, s, c)
	for _, g := range s.listed {
		if id, ok := v.ids[g.Content]; ok && int(id) != g.id {
			t.notices = append(t.notices, fmt.Sprintf("added token %q has id %d in the files, but %d in the tokenizer, as in transformers: ids follow the vocabulary in the order of the list", g.Content, g.id, id))
			break // those behind it are out of step, too
		}
	}
	split, _ := config.truth("split_special_tokens")
	if split {
		t.notices = append(t.notices, "split_special_tokens is true in tokenizer_config.json: special tokens, marks of images among them, are read as plain text")
	}
	for _, id := range slices.Sorted(maps.Keys(v.byID)) {
		a := v.byID[id]
		for int(id) >= len(t.tokens) {
			t.tokens = append(t.tokens, "")
		}
		t.tokens[id], t.ids[a.Content] = a.Content, id
		if v.special[a.Content] {
			t.special[id], a.split = true, split
		}
		text, err := t.normalize(a.Content)
		if err != nil {
			return fmt.Errorf("added_tokens: %q: %w", a.Content, err)
		}
		if a.Normalized {
			t.normalized.add(text, &a)
		} else {
			t.raw.add(a.Content, &a)
		}
		if v.shown[id] && text != a.Content {
			t.shown[id] = text
		}
	}
	return nil
}

// named is the id of a configured special token, -1 when there is none.
// A name that the vocabulary lacks is none: Load does not fail for a role that nobody may ask
// for.
func (t *Tokenizer) named(tok string) int32 {
	if id, ok := t.ids[tok]; ok && tok != "" {
		return id
	}
	return -1
}

// checkTemplate refuses ids of the post-processor that no embedding would have.
func (t *Tokenizer) checkTemplate() error {
	for _, id := range append(append([]int32(nil), t.post.Before...), t.post.After...) {
		if id < 0 || int(id) >= len(t.tokens) {
			return fmt.Errorf("post_processor: id %d is not in the vocabulary", id)
		}
	}
	return nil
}

// Encode turns text into ids. Added tokens are recognised in the text; with
// addSpecial the post-processor's tokens (such as begin-of-text) are put
// around. Bytes that are not UTF-8 count as U+FFFD.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	if !utf8.ValidString(text) {
		text = chars.LossyUTF8([]byte(text))
	}
	w := t.work.Get().(*subword.Work)
	defer t.work.Put(w)
	// A token of English has three to five bytes; append grows the rest.
	out := make([]int32, 0, len(text)/3+len(t.post.Before)+len(t.post.After))
	if addSpecial {
		out = append(out, t.post.Before...)
	}
	word := func(s string) error { //nolint:unparam // the pre-tokenizer hands words to others that can fail
		out = t.model.Encode(out, s, w)
		return nil
	}
	// The only error a split can give is an expression that runs into the
	// engine's limits; none is set, so there is none to report.
	_ = t.raw.split(text, func(s string, at int, tok *addedToken) error {
		if tok != nil {
			out = append(out, tok.ID)
			return nil
		}
		n, err := t.normalize(s)
		if err != nil {
			return err
		}
		return t.normalized.split(n, func(s string, at2 int, tok *addedToken) error {
			if tok != nil {
				out = append(out, tok.ID)
				return nil
			}
			return t.pre.Run(s, at == 0 && at2 == 0, word)
		})
	})
	if addSpecial {
		out = append(out, t.post.After...)
	}
	return out
}

// Decode turns ids into text; ids without a token are left out, and special
// tokens too with skipSpecial.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	// The decoder may change this list, which is nobody else's.
	toks := make([]string, 0, len(ids))
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.tokens) || t.tokens[id] == "" {
			continue
		}
		// The reference looks at what it shows, too, to tell what is special.
		if text, ok := t.shown[id]; ok {
			toks = append(toks, text)
		} else if !skipSpecial || !t.special[id] {
			toks = append(toks, t.tokens[id])
		}
	}
	// Like Encode: a Replace expression without limits cannot fail.
	toks, _ = t.decode(toks)
	text := strings.Join(toks, "")
	if t.cleanUp {
		return cleanUp(text)
	}
	return text
}

// Notices are things about the folder's files that a user should know, one line
// each.
func (t *Tokenizer) Notices() []string { return t.notices }

// ID is the id of a token as the vocabulary spells it.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Token is the vocabulary's spelling of id, "" when id is unused.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Size is one more than the largest id, added tokens included: the number of
// rows an embedding needs.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Kind names the model of the tokenizer: "byte-level BPE", "BPE with byte
// fallback", "BPE", "Unigram", "WordPiece" or "WordLevel".
func (t *Tokenizer) Kind() string {
	switch kind := t.model.Kind(); {
	case t.pre.ByteLevel && (kind == subword.KindBPE || kind == subword.KindFallback):
		return "byte-level BPE"
	default:
		return kind
	}
}

// IsSpecial reports whether Decode leaves id out when skipping special tokens.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.special[id] }

// BOS is the begin-of-text id; false when the folder names none.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS is the end-of-text id; false when the folder names none.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }

// Pad is the padding id; false when the folder names none.
func (t *Tokenizer) Pad() (int32, bool) { return t.pad, t.pad >= 0 }
