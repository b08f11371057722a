package subword

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
)

// BPE is a byte-pair-encoding model: it turns one pre-tokenized word into ids.
//
// Only the cache changes once it is read. A word goes to ids by way of symbols (one a character
// or byte), which are merged in the order of rank until no pair of neighbours has a merge.
type BPE struct {
	vocab        map[string]int32
	tokens       []string // by id; "" where an id is unused
	merges       map[uint64]merge
	prefix       string // continuing_subword_prefix
	suffix       string // end_of_word_suffix
	unk          int32  // -1: characters without a token are dropped
	fuseUnk      bool
	byteFallback bool
	fallback     [256]int32 // ids of <0x00>…<0xFF>, -1 where missing
	ignoreMerges bool

	// For byte-level models words arrive as raw bytes; these replace the
	// spelling in byteRune characters.
	byteLevel bool
	byteID    [256]int32
	rawVocab  map[string]int32

	// Where no merge can reach across, a word falls into parts with ids of their
	// own: a whole text of Llama 2, which has no pre-tokenizer, into its words.
	parts  bool
	joined map[rune]bool // last characters of what a merge joins to a word mark

	cache wordCache
}

// wordMark is how SentencePiece writes a space, at the start of a word.
const wordMark = "▁"

// merge is what two ids become, and how soon.
// Ranks are places in the file's list and unique, so that two merges never compete at one place.
type merge struct{ rank, id int32 }

// pairKey is two ids in one number, a map's key.
// Ids are never negative here, so that no two pairs share a number.
func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// newBPE builds the tables from the "model" object of tokenizer.json.
// Dropout is for training: encoding with it would give other ids each time.
func newBPE(j modelJSON) (*BPE, error) {
	m := &BPE{vocab: j.Vocab, unk: -1, fuseUnk: j.FuseUnk, byteFallback: j.ByteFallback, ignoreMerges: j.IgnoreMerges}
	if j.Dropout != nil && *j.Dropout != 0 {
		return nil, fmt.Errorf("model.dropout %v: encoding with dropout is not supported", *j.Dropout)
	}
	if j.Prefix != nil {
		m.prefix = *j.Prefix
	}
	if j.Suffix != nil {
		m.suffix = *j.Suffix
	}
	var err error
	if m.tokens, err = tokensByID(j.Vocab); err != nil {
		return nil, err
	}
	if j.Unk != nil {
		id, ok := j.Vocab[*j.Unk]
		if !ok {
			return nil, fmt.Errorf("model.unk_token %q is not in model.vocab", *j.Unk)
		}
		m.unk = id
	}
	m.fallback = fallbackIDs(j.Vocab)
	// A merge's place in the file is its rank: the earlier, the sooner it is done. The
	// token it makes is not in the file, but the two spellings joined.
	m.merges = make(map[uint64]merge, len(j.Merges))
	for rank, pair := range j.Merges {
		a, okA := j.Vocab[pair[0]]
		b, okB := j.Vocab[pair[1]]
		// The prefix marks a token that goes on within a word; inside the joined token the mark of
		// its second half is left out.
		id, okC := j.Vocab[pair[0]+strings.TrimPrefix(pair[1], m.prefix)]
		if !okA || !okB || !okC {
			return nil, fmt.Errorf("model.merges: entry %d (%q %q) uses a token outside model.vocab", rank, pair[0], pair[1])
		}
		m.merges[pairKey(a, b)] = merge{int32(rank), id}
	}
	// With prefix or suffix a symbol depends on its place in the word, and parts would have other
	// places.
	_, marked := j.Vocab[wordMark]
	m.parts, m.joined = marked && m.prefix == "" && m.suffix == "", map[rune]bool{}
	for _, pair := range j.Merges {
		if strings.HasPrefix(pair[1], wordMark) {
			last, _ := utf8.DecodeLastRuneInString(pair[0])
			m.joined[last] = true
		}
	}
	return m, nil
}

// setByteLevel prepares for words given as raw bytes.
// Tokens that are not spelled in byteRune characters stay out of rawVocab: no bytes can stand for
// them.
// Parts are off, since a pre-tokenizer has cut the text already and the mark is no character among
// raw bytes.
func (m *BPE) setByteLevel() {
	m.byteLevel, m.parts = true, false
	m.rawVocab = make(map[string]int32, len(m.vocab))
	for tok, id := range m.vocab {
		if raw, ok := chars.FromByteLevel(tok); ok {
			m.rawVocab[string(raw)] = id
		}
	}
	for b := range m.byteID {
		m.byteID[b] = m.lookup(string(chars.ByteRune[b]))
	}
}

// NewBytes is a byte-level model of the 256 bytes, whose ids are given, to which
// Merge adds: what a trainer tries its merges on.
// It has no vocabulary of its own: ids are the caller's, and no word is looked up whole.
func NewBytes(byteID [256]int32) *BPE {
	return &BPE{merges: map[uint64]merge{}, byteLevel: true, byteID: byteID}
}

// Merge adds the merge of two ids to a third, behind those that are there.
func (m *BPE) Merge(a, b, id int32) { m.merges[pairKey(a, b)] = merge{int32(len(m.merges)), id} }

// lookup is a token's id, -1 without one.
func (m *BPE) lookup(tok string) int32 {
	if id, ok := m.vocab[tok]; ok {
		return id
	}
	return -1
}

// Kind implements Model.
func (m *BPE) Kind() string {
	if m.byteFallback {
		return KindFallback
	}
	return KindBPE
}

// Spelling implements Model.
// That a byte-level token is spelled in byteRune characters is the decoder's to undo.
func (m *BPE) Spelling(token string) string {
	token = strings.TrimSuffix(strings.TrimPrefix(token, m.prefix), m.suffix)
	if m.byteFallback {
		return spelledByte(token)
	}
	return token
}

// Encode appends the ids of one word.
// Words that are equal have equal ids, which the cache and the parts rely on.
// word is not kept; dst grows as append lets it.
func (m *BPE) Encode(dst []int32, word string, w *Work) []int32 {
	if word == "" {
		return dst
	}
	if m.ignoreMerges { // Llama 3: a word that is a token is that token, merges or not
		id, ok := m.vocab[word]
		if m.byteLevel {
			id, ok = m.rawVocab[word]
		}
		if ok {
			return append(dst, id)
		}
	}
	for m.parts {
		n := m.partEnd(word)
		if n == len(word) {
			break
		}
		dst, word = m.encodePart(dst, word[:n], w), word[n:]
	}
	return m.encodePart(dst, word, w)
}

// partEnd is where the first part of a word ends: before a mark that no merge
// joins to the character in front of it. Both must have a token, lest bytes or
// unknown characters stand for them.
func (m *BPE) partEnd(word string) int {
	for at := 1; at < len(word); {
		i := strings.Index(word[at:], wordMark)
		if i < 0 {
			break
		}
		at += i
		last, n := utf8.DecodeLastRuneInString(word[:at])
		if _, ok := m.vocab[word[at-n:at]]; ok && !m.joined[last] {
			return at
		}
		at += len(wordMark)
	}
	return len(word)
}

// encodePart is Encode of what merges cannot leave, by the cache where it is there.
func (m *BPE) encodePart(dst []int32, word string, w *Work) []int32 {
	// The ids belong to w, but are copied before w is used again.
	if len(word) > maxCachedWord {
		return append(dst, m.Split(word, w)...)
	}
	if ids, ok := m.cache.get(word); ok {
		return append(dst, ids...)
	}
	ids := m.Split(word, w)
	m.cache.put(word, ids)
	return append(dst, ids...)
}

// Split applies the merges to a word; the result is valid until w is used again.
// Both ways of merging give the same ids: where one takes over from the other is a matter of
// speed alone.
func (m *BPE) Split(word string, w *Work) []int32 {
	w.ids = w.ids[:0]
	if m.byteLevel {
		w.ids = m.byteSymbols(w.ids, word)
	} else {
		w.ids = m.symbols(w.ids, word)
	}
	if len(w.ids) <= maxScan {
		return m.mergeScan(w.ids)
	}
	return m.mergeHeap(w)
}

// byteSymbols starts a word with one symbol per byte.
// A byte without a token is rare: byte-level vocabularies hold all 256.
func (m *BPE) byteSymbols(ids []int32, word string) []int32 {
	inUnk := false
	for i := 0; i < len(word); i++ {
		id := m.byteID[word[i]]
		if id < 0 {
			ids = m.appendUnk(ids, &inUnk)
			continue
		}
		inUnk = false
		ids = append(ids, id)
	}
	return ids
}

// appendUnk adds the unknown token, once per run when fuse_unk is set.
// Without an unknown token such characters are dropped, as in the reference.
func (m *BPE) appendUnk(ids []int32, inUnk *bool) []int32 {
	if m.unk < 0 || *inUnk && m.fuseUnk {
		return ids
	}
	*inUnk = true
	return append(ids, m.unk)
}

// symbols starts a word with one symbol per character, its bytes where byte
// fallback covers a character without a token.
func (m *BPE) symbols(ids []int32, word string) []int32 {
	inUnk := false
	for i := 0; i < len(word); {
		_, n := utf8.DecodeRuneInString(word[i:])
		c := word[i : i+n]
		tok := c
		if m.prefix != "" && i > 0 {
			tok = m.prefix + tok
		}
		if m.suffix != "" && i+n == len(word) {
			tok += m.suffix
		}
		i += n
		if id, ok := m.vocab[tok]; ok {
			inUnk = false
			ids = append(ids, id)
		} else if m.byteFallback && covered(&m.fallback, tok) {
			for k := 0; k < len(tok); k++ {
				ids = append(ids, m.fallback[tok[k]])
			}
			inUnk = false
		} else {
			ids = m.appendUnk(ids, &inUnk)
		}
	}
	return ids
}

// maxScan is the longest word merged by scanning all pairs each time, which is
// faster than the heap for ordinary words.
const maxScan = 24

// mergeScan repeatedly merges the leftmost pair of lowest rank, in place.
// Only the two pairs beside a merge change by it, so only those are looked up again.
func (m *BPE) mergeScan(ids []int32) []int32 {
	var next [maxScan]merge // next[i]: the merge of ids[i] and ids[i+1]; rank -1 when none
	look := func(i int) {
		next[i] = merge{-1, -1}
		if i+1 < len(ids) {
			if mg, ok := m.merges[pairKey(ids[i], ids[i+1])]; ok {
				next[i] = mg
			}
		}
	}
	for i := range ids {
		look(i)
	}
	for {
		best := -1
		for i := 0; i+1 < len(ids); i++ {
			if next[i].rank >= 0 && (best < 0 || next[i].rank < next[best].rank) {
				best = i
			}
		}
		if best < 0 {
			return ids
		}
		ids[best] = next[best].id
		copy(ids[best+1:], ids[best+2:])
		// next moves along with ids; what it said of the pair that is now one is looked up below.
		copy(next[best+1:], next[best+2:len(ids)])
		ids = ids[:len(ids)-1]
		look(best)
		if best > 0 {
			look(best - 1)
		}
	}
}

const (
	maxCachedWord  = 64      // bytes; longer words hardly repeat
	maxCachedWords = 1 << 16 // bounds the memory of a long run
)

// wordCache remembers the ids of words across calls and goroutines.
// Readers share the lock, and most words of a text are found.
// It is keyed by the word alone, which is right because a model never changes after it is read.
type wordCache struct {
	mu sync.RWMutex
	m  map[string][]int32
}

// get gives the ids of a word, which are shared and not changed.
func (c *wordCache) get(word string) ([]int32, bool) {
	c.mu.RLock()
	ids, ok := c.m[word]
	c.mu.RUnlock()
	return ids, ok
}

// put keeps the ids of a word. The word is copied: it is a part of a text that would
// otherwise stay in memory as a whole.
func (c *wordCache) put(word string, ids []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Starting over is simpler than eviction and as good: frequent words return at once.
	if c.m == nil || len(c.m) >= maxCachedWords {
		c.m = make(map[string][]int32)
	}
	c.m[strings.Clone(word)] = append([]int32(nil), ids...)
}
