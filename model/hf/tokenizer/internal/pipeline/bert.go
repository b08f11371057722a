package pipeline

import (
	"strings"
	"unicode"

	"vgid/model/hf/tokenizer/internal/chars"

	"golang.org/x/text/unicode/norm"
)

// newBertNormalizer cleans text as BERT's tokenizer does.
// The order is that of the reference's BertNormalizer. strip_accents that is null follows
// lowercase, as in the original BERT, whose uncased models alone strip them.
func newBertNormalizer(c component) Normalizer {
	accents := c.Lowercase
	if c.StripAccents != nil {
		accents = *c.StripAccents
	}
	// Accents are marks of their own once a text is decomposed (NFD).
	decompose := chars.Around(norm.NFD.String, chars.Inert)
	return plain(func(s string) string {
		if c.CleanText {
			s = strings.Map(cleanRune, s)
		}
		if c.Chinese {
			s = spaceIdeographs(s)
		}
		if accents {
			s = strings.Map(func(r rune) rune {
				if unicode.Is(unicode.Mn, r) && !unicode.Is(chars.KeptByBert, r) || r == 0x1734 {
					return -1
				}
				return r
			}, decompose(s))
		}
		if c.Lowercase {
			s = lowercase(s)
		}
		return s
	})
}

// cleanRune drops control characters and makes every blank a space.
// Tab and line ends are controls to Unicode and blanks here, so they are looked at first.
func cleanRune(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	// U+FFFD goes, too: it stands for bytes that were no text.
	case r == 0 || r == 0xfffd || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !unicode.Is(chars.NotControl, r):
		return -1
	case unicode.IsSpace(r):
		return ' '
	}
	return r
}

// spaceIdeographs puts spaces around ideographs.
// The ranges are the CJK blocks of BERT's tokenization.py, with the reference's borders; Hangul
// and Kana are none.
func spaceIdeographs(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 0x4e00 && r <= 0x9fff, r >= 0x3400 && r <= 0x4dbf, r >= 0x20000 && r <= 0x2a6df, r >= 0x2a700 && r <= 0x2b73f,
			r >= 0x2b740 && r <= 0x2b81f, r >= 0x2b920 && r <= 0x2ceaf, r >= 0xf900 && r <= 0xfaff, r >= 0x2f800 && r <= 0x2fa1f:
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isPunctuation is ASCII's visible signs and Unicode's punctuation, two signs that
// were punctuation once among it.
func isPunctuation(r rune) bool {
	return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~' || r == 0x166d || r == 0x111c9 ||
		unicode.IsPunct(r) && !unicode.Is(chars.NotPunctuation, r)
}

// nmtClean is SentencePiece's treatment of control characters and blanks.
// The lists are those of the reference's Nmt.
func nmtClean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 1 && r <= 8, r == 0xb, r >= 0xe && r <= 0x1f, r == 0x7f, r == 0x8f, r == 0x9f:
			return -1
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200b && r <= 0x200f,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xfeff, r == 0xfffd:
			return ' '
		}
		return r
	}, s)
}
