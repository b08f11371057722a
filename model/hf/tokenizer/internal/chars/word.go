package chars

import (
	"unicode"
	"unicode/utf8"
)

// IsWord reports whether r is a character of words, \w, to the reference's regular
// expressions, added tokens and the pre-tokenizer Whitespace.
func IsWord(r rune) bool {
	if r < utf8.RuneSelf { // most of any text
		return r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	return r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.M, r) || unicode.Is(unicode.Nd, r) ||
		unicode.Is(unicode.Pc, r) || unicode.Is(unicode.Other_Alphabetic, r) || unicode.Is(unicode.Join_Control, r) || unicode.Is(unicode.Nl, r) ||
		unicode.Is(LaterWords, r)
}
