package subword

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A word that falls into parts has the ids of the whole, whatever the merges.
func TestParts(t *testing.T) {
	cuts := 0
	rapid.Check(t, func(r *rapid.T) {
		vocab := map[string]int32{}
		add := func(tok string) string {
			if _, ok := vocab[tok]; !ok {
				vocab[tok] = int32(len(vocab))
			}
			return tok
		}
		var tokens []string
		for _, c := range []string{"<unk>", "a", "b", "<", ">", "▁", "<0xC3>", "<0xA9>"} {
			tokens = append(tokens, add(c))
		}
		unk := "<unk>"
		j := modelJSON{Vocab: vocab, FuseUnk: rapid.Bool().Draw(r, "fuse"), ByteFallback: rapid.Bool().Draw(r, "bytes"), Unk: &unk}
		for range rapid.IntRange(0, 12).Draw(r, "merges") {
			a, b := rapid.SampledFrom(tokens).Draw(r, "left"), rapid.SampledFrom(tokens).Draw(r, "right")
			j.Merges = append(j.Merges, mergeJSON{a, b})
			tokens = append(tokens, add(a+b))
		}
		parts, err := newBPE(j)
		if err != nil {
			r.Fatal(err)
		}
		whole, err := newBPE(j)
		if err != nil {
			r.Fatal(err)
		}
		whole.parts = false
		word := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "▁", "é", "x", "<", ">", "ab▁", "▁▁"}), 1, 40).Draw(r, "word"), "")
		if parts.partEnd(word) < len(word) {
			cuts++
		}
		got, want := parts.Encode(nil, word, &Work{}), whole.Encode(nil, word, &Work{})
		if !slices.Equal(got, want) {
			r.Errorf("%q with merges %v: %v in parts, %v whole", word, j.Merges, got, want)
		}
	})
	if cuts == 0 && !t.Failed() {
		t.Error("no word fell into parts")
	}
}
