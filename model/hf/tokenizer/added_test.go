package tokenizer

import (
	"slices"
	"testing"
)

// Tokens of blanks behind a token that takes blanks with it, as tokenizers
// 0.23.3 encodes them.
func TestAddedTokenAmongStrippedBlanks(t *testing.T) {
	tok, err := newTokenizer([]byte(`{"added_tokens": [
		{"id": 3, "content": "<a>", "rstrip": true, "special": true},
		{"id": 4, "content": "  ", "special": true},
		{"id": 5, "content": "<l>", "lstrip": true, "special": true}],
		"model": {"type": "WordLevel", "unk_token": "x", "vocab": {"x": 0, " ": 1, " x": 2}}}`), &folder{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]int32{
		"<a> x": {3, 0}, "<a>  x": {3, 4, 0}, "<a>    x": {3, 4, 4, 0}, "<a>   x": {3, 4, 2}, "<a>   ": {3, 4, 1},
	} {
		if got := tok.Encode(text, false); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	tok.Encode("<a>    <l> x", false) // where the reference panics
}
