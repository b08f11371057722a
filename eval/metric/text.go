package metric

import (
	"strings"
	"unicode"
)

// Lower is Python's str.lower, which the reference metrics use: unlike Go's it
// maps İ to two characters and Σ at the end of a word to ς.
func Lower(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] >= 0x80 {
			plain = false
			break
		}
	}
	if plain || !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && finalSigma(runes, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// finalSigma is Unicode's Final_Sigma: a cased letter before, none after,
// looking past what case ignores (marks, modifiers, apostrophes).
func finalSigma(runes []rune, i int) bool {
	before := i - 1
	for before >= 0 && caseIgnorable(runes[before]) {
		before--
	}
	if before < 0 || !cased(runes[before]) {
		return false
	}
	after := i + 1
	for after < len(runes) && caseIgnorable(runes[after]) {
		after++
	}
	return after == len(runes) || !cased(runes[after])
}

// cased and caseIgnorable are Unicode's Cased and Case_Ignorable (chapter 3.13).
func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:·’‘․", r)
}

// rougeTokens splits as rouge_score's tokenizer does: lower case, everything
// but a-z and 0-9 separates, tokens of more than three characters are stemmed.
func rougeTokens(s string) []string {
	return appendTokens(nil, Lower(s), true)
}

func appendTokens(tokens []string, lower string, stem bool) []string {
	start := -1
	for i := 0; i <= len(lower); i++ {
		if i < len(lower) && (lower[i] >= 'a' && lower[i] <= 'z' || lower[i] >= '0' && lower[i] <= '9') {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			t := lower[start:i]
			if stem && len(t) > 3 {
				t = Stem(t)
			}
			if t != "" {
				tokens = append(tokens, t)
			}
			start = -1
		}
	}
	return tokens
}

// fields is Python's str.split(): the separators U+001C … U+001F, which Go does
// not count as space, included.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) })
}

// words splits into lower-case runs of letters and digits of any script.
func words(s string) []string {
	return strings.FieldsFunc(Lower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}
