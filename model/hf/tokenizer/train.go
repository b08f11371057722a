package tokenizer

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"sort"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/hf/tokenizer/internal/pipeline"
	"vgid/model/hf/tokenizer/internal/subword"
)

// TrainOptions says what TrainBPE learns.
// The vocabulary holds special tokens, 256 bytes and merges, in this order; VocabSize counts all of
// them.
type TrainOptions struct {
	VocabSize int // upper bound of ids; fewer when the corpus has no more pairs
	MinCount  int // a pair seen fewer times is not merged; 0 means 2

	// Special are the special tokens, ids 0, 1, …; nil means DefaultSpecial.
	// <pad>, <s>, </s> and <unk> get these roles in tokenizer_config.json.
	Special []string

	// KeepWords must each, with a space before, end as a single token.
	KeepWords []string

	AddBOS bool // the post-processor puts <s> before every text
}

// DefaultSpecial are the special tokens TrainBPE gives ids 0 to 4.
func DefaultSpecial() []string { return []string{"<pad>", "<s>", "</s>", "<unk>", "<image>"} }

// TrainBPE learns a byte-level BPE vocabulary (GPT-2's split, no prefix space)
// from the texts of corpus and writes tokenizer.json and tokenizer_config.json
// into dir. The result is a function of the texts' word counts and the
// options: the pair with the highest count is merged, ties go to the smaller
// ids, as in the reference trainer.
func TrainBPE(dir string, corpus iter.Seq[string], o TrainOptions) error {
	if o.Special == nil {
		o.Special = DefaultSpecial()
	}
	if o.MinCount == 0 {
		o.MinCount = 2
	}
	t, err := newTrainer(o)
	if err != nil {
		return fmt.Errorf("train tokenizer: %w", err)
	}
	counts, err := t.countWords(corpus)
	if err != nil {
		return fmt.Errorf("train tokenizer: %w", err)
	}
	t.learn(counts)
	if err := t.keepWords(); err != nil {
		return fmt.Errorf("train tokenizer: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return t.write(dir)
}

// pairMerge is one learned merge.
// a and b are the ids of what is joined, id that of the result.
type pairMerge struct{ a, b, id int32 }

// trainer holds the vocabulary as it grows: the special tokens, the 256 bytes, and then
// one token for each merge, in the order in which they were learned.
type trainer struct {
	o      TrainOptions
	tokens []string         // by id; raw bytes after the special tokens
	ids    map[string]int32 // of the tokens after the special ones
	byteID [256]int32
	merges []pairMerge
}

// newTrainer checks the options and gives the first ids.
func newTrainer(o TrainOptions) (*trainer, error) {
	t := &trainer{o: o, ids: map[string]int32{}}
	seen := map[string]bool{}
	for _, s := range o.Special {
		if s == "" || seen[s] {
			return nil, fmt.Errorf("special token %q is empty or given twice", s)
		}
		seen[s] = true
		t.tokens = append(t.tokens, s)
	}
	if least := len(t.tokens) + 256; o.VocabSize < least || o.VocabSize > subword.MaxTokenID {
		return nil, fmt.Errorf("VocabSize is %d, must be %d (special tokens and 256 bytes) to %d", o.VocabSize, least, subword.MaxTokenID)
	}
	if o.AddBOS && !seen["<s>"] {
		return nil, errors.New("AddBOS needs the special token <s>")
	}
	// The bytes come in the order of their characters, as in the reference trainer.
	order := make([]int, 256)
	for b := range order {
		order[b] = b
	}
	sort.Slice(order, func(i, j int) bool { return chars.ByteRune[order[i]] < chars.ByteRune[order[j]] })
	for _, b := range order {
		t.byteID[b] = t.token(string([]byte{byte(b)}))
		if seen[string(chars.ByteRune[b])] {
			return nil, fmt.Errorf("special token %q is one of the byte characters", string(chars.ByteRune[b]))
		}
	}
	return t, nil
}

// token gives the id of raw bytes, new when unknown.
// Two merges may spell the same bytes; the second then gets the first one's id, as in the
// reference trainer.
func (t *trainer) token(raw string) int32 {
	if id, ok := t.ids[raw]; ok {
		return id
	}
	id := int32(len(t.tokens))
	t.tokens = append(t.tokens, raw)
	t.ids[raw] = id
	return id
}

// countWords counts the words of the corpus; special tokens in the texts are
// boundaries, not text to learn.
func (t *trainer) countWords(corpus iter.Seq[string]) (map[string]int64, error) {
	var special addedMatcher
	for i, s := range t.o.Special {
		special.add(s, &addedToken{ID: int32(i), Content: s})
	}
	counts := map[string]int64{}
	count := func(s string, _ bool) error { counts[s]++; return nil } //nolint:unparam // as splitters want it
	for text := range corpus {
		err := special.split(chars.LossyUTF8([]byte(text)), func(s string, _ int, tok *addedToken) error {
			if tok != nil {
				return nil
			}
			return pipeline.GPT2Split.Split(s, true, count)
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// trainWord is a distinct word as its present symbols.
type trainWord struct {
	syms  []int32
	count int64
}

// pairTable counts adjacent symbols over all words.
// count is exact at all times; where may name words that have lost the pair, and heap holds counts
// of earlier times.
type pairTable struct {
	words []trainWord
	count map[uint64]int64
	where map[uint64]map[int32]bool // words that may hold the pair
	heap  pairHeap
}

// pairKey is two ids in one number.
func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// change adds to the count of a pair in a word. touched collects pairs whose counts grew:
// they need a new entry in the heap; one that shrank is found stale when it is popped.
func (p *pairTable) change(word int32, a, b int32, by int64, touched map[uint64]bool) {
	k := pairKey(a, b)
	p.count[k] += by
	if by > 0 {
		if p.where[k] == nil {
			p.where[k] = map[int32]bool{}
		}
		p.where[k][word] = true
		touched[k] = true
	}
}

// learn merges the most frequent pair until the vocabulary is full.
func (t *trainer) learn(counts map[string]int64) {
	p := pairTable{count: map[uint64]int64{}, where: map[uint64]map[int32]bool{}}
	touched := map[uint64]bool{}
	for word, n := range counts {
		w := trainWord{count: n}
		for i := 0; i < len(word); i++ {
			w.syms = append(w.syms, t.byteID[word[i]])
		}
		id := int32(len(p.words))
		p.words = append(p.words, w)
		for i := 0; i+1 < len(w.syms); i++ {
			p.change(id, w.syms[i], w.syms[i+1], n, touched)
		}
	}
	p.pushAll(touched)
	for len(t.tokens) < t.o.VocabSize {
		top, ok := p.best()
		if !ok || top.count < int64(t.o.MinCount) {
			return
		}
		a, b := int32(top.pair>>32), int32(uint32(top.pair))
		id := t.token(t.tokens[a] + t.tokens[b])
		t.merges = append(t.merges, pairMerge{a, b, id})
		p.merge(top.pair, a, b, id)
	}
}

// best pops the pair of the highest count, refreshing stale entries.
func (p *pairTable) best() (pairCount, bool) {
	for len(p.heap) > 0 {
		top := p.heap.pop()
		now := p.count[top.pair]
		if now == top.count {
			return top, now > 0
		}
		if now > 0 {
			p.heap.push(pairCount{now, top.pair})
		}
	}
	return pairCount{}, false
}

// merge replaces a b by id in every word and updates the counts around it.
func (p *pairTable) merge(key uint64, a, b, id int32) {
	touched := map[uint64]bool{}
	for wi := range p.where[key] {
		w := &p.words[wi]
		s := w.syms
		// From the left, without overlap: of "aaa" the first two.
		for i := 0; i+1 < len(s); i++ {
			if s[i] != a || s[i+1] != b {
				continue
			}
			if i > 0 {
				// s[i-1] may be the id just made, by which neighbours of merged pairs are counted
				// as well.
				p.change(wi, s[i-1], a, -w.count, touched)
				p.change(wi, s[i-1], id, w.count, touched)
			}
			if i+2 < len(s) {
				p.change(wi, b, s[i+2], -w.count, touched)
				p.change(wi, id, s[i+2], w.count, touched)
			}
			s[i] = id
			s = append(s[:i+1], s[i+2:]...)
		}
		w.syms = s
	}
	delete(p.where, key)
	delete(p.count, key)
	delete(touched, key)
	p.pushAll(touched)
}

// pushAll queues pairs with their present counts.
func (p *pairTable) pushAll(touched map[uint64]bool) {
	for k := range touched {
		if n := p.count[k]; n > 0 {
			p.heap.push(pairCount{n, k})
		}
	}
}

// pairCount orders by count, then by the smaller ids.
type pairCount struct {
	count int64
	pair  uint64
}

func (a pairCount) before(b pairCount) bool {
	return a.count > b.count || a.count == b.count && a.pair < b.pair
}

// pairHeap gives the most frequent pair first; entries may be stale.
// Counts are of words of the corpus, weighted by how often each is met.
type pairHeap []pairCount

// container/heap would need an interface for each entry; these are the innermost steps of
// learning.
func (h *pairHeap) push(c pairCount) {
	s := append(*h, c)
	for i := len(s) - 1; i > 0 && s[i].before(s[(i-1)/2]); i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
	*h = s
}

func (h *pairHeap) pop() pairCount {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		kid := 2*i + 1
		if kid >= last {
			break
		}
		if kid+1 < last && s[kid+1].before(s[kid]) {
			kid++
		}
		if !s[kid].before(s[i]) {
			break
		}
		s[i], s[kid] = s[kid], s[i]
		i = kid
	}
	*h = s
	return top
}
