package hftest

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// SameUnicode skips a test whose goldens are of the reference's Unicode, where
// Go's own classes are not those that the listed differences are to.
func SameUnicode(t *testing.T) {
	t.Helper()
	if unicode.Version != "15.0.0" {
		t.Skipf("this Go knows Unicode %s; tokenizer/internal/chars lists how the reference differs from 15.0.0", unicode.Version)
	}
}

// NastyText mixes what the expressions that split words look at with anything else.
func NastyText(r *rapid.T) string {
	piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'ſ", "'", "ab", "É", "12", "½", "!?", "\u0301", "\u00a0", "\u2028", "<s>"}))
	return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(r, "pieces"), "")
}
