package subword

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unknownPenalty is how much an unknown character scores below the worst token.
// It is SentencePiece's kUnkPenalty, which tokenizers has, too (models/unigram/model.rs,
// K_UNK_PENALTY).
const unknownPenalty = 10

// unigram is a Unigram language model: it cuts a word where the sum of the
// tokens' scores is highest.
// scores are logarithms of probabilities by id: sums of them are compared, nothing else.
type unigram struct {
	vocab        map[string]int32
	scores       []float64
	unk          int32
	unkScore     float64
	byteFallback bool
	fallback     [256]int32 // ids of <0x00>…<0xFF>, -1 where missing
	trie         prefixTrie
}

// unigramJSON is the model of type Unigram; a token's id is its place in the list.
// unk_id is a pointer because a file may have null, and 0 is an id.
type unigramJSON struct {
	Unk          *int32       `json:"unk_id"`
	Vocab        []scoredJSON `json:"vocab"`
	ByteFallback bool         `json:"byte_fallback"`
}

// scoredJSON is ["token", score].
type scoredJSON struct {
	token string
	score float64
}

func (s *scoredJSON) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("an entry of the vocabulary is not [token, score]")
	}
	if err := json.Unmarshal(pair[0], &s.token); err != nil {
		return err
	}
	var n json.Number
	if err := json.Unmarshal(pair[1], &n); err != nil {
		return err
	}
	var err error
	s.score, err = serdeFloat(n.String())
	return err
}

// serdeFloat reads a JSON number as the reference's reader does, which rounds
// twice: of two ways to cut a word whose sums differ in the last bit only, it
// then takes another than the number as written would.
func serdeFloat(s string) (float64, error) {
	exact, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, err
	}
	digits, negative := strings.CutPrefix(s, "-")
	digits, power, _ := strings.Cut(strings.ToLower(digits), "e")
	whole, fraction, decimal := strings.Cut(digits, ".")
	if !decimal && power == "" {
		return exact, nil
	}
	exponent, err := strconv.Atoi(cmp.Or(power, "0"))
	if err != nil {
		return 0, err
	}
	var n uint64
	for i, c := range []byte(whole + fraction) {
		d := uint64(c - '0')
		// serde_json keeps 64 bits of the digits and drops the others (its overflow of the
		// significand).
		if n > (math.MaxUint64-d)/10 { // what is left does not count
			if i < len(whole) {
				exponent += len(whole) - i
			}
			break
		}
		n = 10*n + d
		if i >= len(whole) {
			exponent--
		}
	}
	f := float64(n)
	switch {
	case exponent > 308 || exponent < -308:
		return exact, nil // as good as nothing, or as everything
	case exponent >= 0:
		f *= powersOfTen[exponent]
	default:
		f /= powersOfTen[-exponent]
	}
	if negative {
		f = -f
	}
	return f, nil
}

// powersOfTen are as exact as floats can be, as in serde_json's table.
var powersOfTen = func() (p [309]float64) {
	for i := range p {
		p[i], _ = strconv.ParseFloat("1e"+strconv.Itoa(i), 64) // in range
	}
	return p
}()

// newUnigram also gives the tokens by id.
func newUnigram(raw json.RawMessage) (*unigram, []string, error) {
	var j unigramJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	if j.Unk == nil {
		return nil, nil, fmt.Errorf("model.unk_id is missing: a Unigram model needs it for characters without a token")
	}
	if *j.Unk < 0 || int(*j.Unk) >= len(j.Vocab) {
		return nil, nil, fmt.Errorf("model.unk_id %d is not in model.vocab, which has %d tokens", *j.Unk, len(j.Vocab))
	}
	m := &unigram{vocab: make(map[string]int32, len(j.Vocab)), unk: *j.Unk, byteFallback: j.ByteFallback}
	tokens := make([]string, len(j.Vocab))
	worst := math.Inf(1)
	for id, s := range j.Vocab {
		tokens[id] = s.token
		m.vocab[s.token] = int32(id)
		m.scores = append(m.scores, s.score)
		worst = min(worst, s.score)
	}
	m.unkScore = worst - unknownPenalty
	m.fallback = fallbackIDs(m.vocab)
	m.trie = newPrefixTrie(m.vocab)
	return m, tokens, nil
}

// step is the best way to the end of a token.
// Steps are at the ends of tokens, in bytes from the start of the word.
type step struct {
	score float64
	from  int32 // where the token starts; -1 when nothing ends here
	id    int32
}

// Kind implements Model.
func (*unigram) Kind() string { return KindUnigram }

// Spelling implements Model.
func (m *unigram) Spelling(token string) string {
	if m.byteFallback {
		return spelledByte(token)
	}
	return token
}

// Encode is Viterbi's algorithm: from each place that can be reached it tries all
// tokens that begin there, and keeps for each end the best way to it. Of ways with the
// same score the first found stays, as in the reference.
// Ids come out from the end and are turned round in place, behind what dst held before.
func (m *unigram) Encode(dst []int32, word string, w *Work) []int32 {
	if cap(w.steps) < len(word)+1 {
		w.steps = make([]step, len(word)+1)
	}
	best := w.steps[:len(word)+1]
	for i := range best {
		best[i] = step{from: -1}
	}
	for at := 0; at < len(word); {
		_, width := utf8.DecodeRuneInString(word[at:])
		score := best[at].score
		single := false
		better := func(end int, s float64, id int32) {
			if b := &best[end]; b.from < 0 || s > b.score {
				*b = step{s, int32(at), id}
			}
		}
		m.trie.prefixes(word[at:], func(n int, id int32) {
			better(at+n, score+m.scores[id], id)
			single = single || n == width
		})
		if !single {
			better(at+width, score+m.unkScore, m.unk)
		}
		at += width
	}
	// Back from the end; a run of unknown characters is one piece.
	from := len(dst)
	for end := len(word); end > 0; {
		start := int(best[end].from)
		if best[end].id == m.unk {
			for start > 0 && best[start].id == m.unk {
				start = int(best[start].from)
			}
			dst = m.unknown(dst, word[start:end])
		} else {
			dst = append(dst, best[end].id)
		}
		end = start
	}
	for i, k := from, len(dst)-1; i < k; i, k = i+1, k-1 {
		dst[i], dst[k] = dst[k], dst[i]
	}
	return dst
}

// unknown appends the ids of a piece of unknown characters, backwards.
// The piece is looked up as a whole, since unknown characters that stand together may spell a token
// which a lower score has kept out.
func (m *unigram) unknown(dst []int32, piece string) []int32 {
	if id, ok := m.vocab[piece]; ok {
		return append(dst, id)
	}
	if m.byteFallback && covered(&m.fallback, piece) {
		for i := len(piece) - 1; i >= 0; i-- {
			dst = append(dst, m.fallback[piece[i]])
		}
		return dst
	}
	return append(dst, m.unk)
}

// prefixTrie finds the tokens a text starts with.
// Node 0 is no node but the mark of none; flat slices spare a map for each node.
type prefixTrie struct {
	root  [256]int32 // node of the first byte, 0 when no token starts so
	nodes []trieSpan
	label []byte // edges of a node are consecutive
	to    []int32
}

// trieSpan is a node: its edges, and the token that ends here, or -1.
type trieSpan struct{ first, last, id int32 }

// newPrefixTrie builds the trie from sorted tokens, so that those below a node are
// neighbours, and its edges come out sorted for child to search.
func newPrefixTrie(vocab map[string]int32) prefixTrie {
	tokens := make([]string, 0, len(vocab))
	for tok := range vocab {
		if tok != "" {
			tokens = append(tokens, tok)
		}
	}
	sort.Strings(tokens)
	t := prefixTrie{nodes: []trieSpan{{id: -1}}}
	// build makes the node of the tokens, which share their first depth bytes.
	var build func(tokens []string, depth int) int32
	build = func(tokens []string, depth int) int32 {
		n := int32(len(t.nodes))
		t.nodes = append(t.nodes, trieSpan{id: -1})
		if len(tokens[0]) == depth {
			t.nodes[n].id = vocab[tokens[0]]
			tokens = tokens[1:]
		}
		groups := byByte(tokens, depth)
		first := int32(len(t.label))
		for _, g := range groups {
			t.label = append(t.label, g[0][depth])
			t.to = append(t.to, 0)
		}
		t.nodes[n].first, t.nodes[n].last = first, int32(len(t.label))
		// The edges have their places before the nodes below are built, which append edges of their
		// own.
		for i, g := range groups {
			to := build(g, depth+1)
			t.to[first+int32(i)] = to
		}
		return n
	}
	for _, g := range byByte(tokens, 0) {
		t.root[g[0][0]] = build(g, 1)
	}
	return t
}

// byByte groups sorted tokens by their byte at depth.
func byByte(tokens []string, depth int) (groups [][]string) {
	for len(tokens) > 0 {
		c := tokens[0][depth]
		n := sort.Search(len(tokens), func(i int) bool { return tokens[i][depth] > c })
		groups, tokens = append(groups, tokens[:n]), tokens[n:]
	}
	return groups
}

// prefixes visits the tokens s starts with, shortest first.
func (t *prefixTrie) prefixes(s string, visit func(n int, id int32)) {
	at := t.root[s[0]]
	for i := 1; at != 0; i++ {
		n := t.nodes[at]
		if n.id >= 0 {
			visit(i, n.id)
		}
		if i == len(s) {
			return
		}
		at = t.child(n, s[i])
	}
}

// child is the node behind the edge c, 0 when there is none.
// Halving ends at eight edges, which are faster looked through in order.
func (t *prefixTrie) child(n trieSpan, c byte) int32 {
	lo, hi := n.first, n.last
	for hi-lo > 8 {
		if mid := (lo + hi) / 2; t.label[mid] <= c {
			lo = mid
		} else {
			hi = mid
		}
	}
	for ; lo < hi; lo++ {
		if t.label[lo] == c {
			return t.to[lo]
		}
	}
	return 0
}
