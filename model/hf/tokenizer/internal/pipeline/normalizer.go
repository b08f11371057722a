package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/hf/tokenizer/internal/oniguruma"
	"vgid/model/kit/plainjson"

	"github.com/dlclark/regexp2"
	"golang.org/x/text/unicode/norm"
)

// Normalizer rewrites text before it is split.
// An error can only come from the engine of regular expressions (Replace).
type Normalizer func(string) (string, error)

// sameText is the normalizer of files that have none.
func sameText(s string) (string, error) { return s, nil }

// plain lifts a rewriting that cannot fail.
func plain(f func(string) string) Normalizer {
	return func(s string) (string, error) { return f(s), nil }
}

// NewNormalizer makes the normalizer of tokenizer.json.
// Around keeps the Unicode tables of the reference, which are older than Go's: characters that
// were assigned since are left as they are.
func NewNormalizer(raw json.RawMessage) (Normalizer, error) {
	if plainjson.IsNull(raw) {
		return sameText, nil
	}
	c, err := parseComponent(raw)
	if err != nil {
		return nil, err
	}
	switch c.Type {
	case "Sequence":
		return sequence(c.Normalizers, NewNormalizer)
	case "NFC":
		return plain(chars.Around(norm.NFC.String, chars.Inert)), nil
	case "NFD":
		return plain(chars.Around(norm.NFD.String, chars.Inert)), nil
	case "NFKC":
		return plain(chars.Around(norm.NFKC.String, chars.Inert, chars.InertCompat)), nil
	case "NFKD":
		return plain(chars.Around(norm.NFKD.String, chars.Inert, chars.InertCompat)), nil
	case "Lowercase":
		return plain(lowercase), nil
	case "StripAccents":
		return plain(stripMarks), nil
	// Blanks are White_Space of Unicode, of Go as of Rust.
	case "Strip":
		return plain(func(s string) string {
			if c.StripLeft {
				s = strings.TrimLeftFunc(s, unicode.IsSpace)
			}
			if c.StripRight {
				s = strings.TrimRightFunc(s, unicode.IsSpace)
			}
			return s
		}), nil
	// Nothing is put before nothing: an empty text has no tokens.
	case "Prepend":
		return plain(func(s string) string {
			if s == "" {
				return s
			}
			return c.Prepend + s
		}), nil
	case "Replace":
		return newReplace(c)
	case "BertNormalizer":
		return newBertNormalizer(c), nil
	case "Nmt":
		return plain(nmtClean), nil
	case "ByteLevel":
		return plain(chars.ToByteLevel), nil
	case "Precompiled":
		m, err := newCharsmap(c.Charsmap)
		if err != nil {
			return nil, err
		}
		return plain(m.normalize), nil
	}
	return nil, fmt.Errorf("type %q is not supported", c.Type)
}

// sequence runs normalizers, or decoders, one after the other, each on what the one
// before it made.
func sequence[F ~func(T) (T, error), T any](list []json.RawMessage, parse func(json.RawMessage) (F, error)) (F, error) {
	steps := make([]F, len(list))
	for i, raw := range list {
		var err error
		if steps[i], err = parse(raw); err != nil {
			return nil, err
		}
	}
	return func(v T) (T, error) {
		for _, step := range steps {
			var err error
			if v, err = step(v); err != nil {
				return *new(T), err
			}
		}
		return v, nil
	}, nil
}

// newReplace serves the Replace normalizer and the Replace decoder.
func newReplace(c component) (Normalizer, error) {
	if c.Pattern.String != nil {
		old := *c.Pattern.String
		if old == "" {
			return nil, fmt.Errorf("Replace: the pattern is empty")
		}
		// A pattern that is a text is no expression: its dots and stars are meant.
		return plain(func(s string) string { return strings.ReplaceAll(s, old, c.Content) }), nil
	}
	if c.Pattern.Regex == nil {
		return nil, fmt.Errorf("Replace: pattern is neither String nor Regex")
	}
	re, err := oniguruma.Compile(*c.Pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("Replace: %w", err)
	}
	return func(s string) (string, error) {
		// ReplaceFunc and not Replace: the content is literal text, no $1. Right
		// behind a match there is none of nothing.
		last := -1
		return re.ReplaceFunc(s, func(m regexp2.Match) string {
			if m.Length == 0 && m.Index == last {
				return ""
			}
			last = m.Index + m.Length
			return c.Content
		}, -1, -1)
	}, nil
}

// lowercase maps character by character, as the reference does: no final
// sigma, and the one character whose lower case is two characters.
func lowercase(s string) string {
	return strings.ReplaceAll(strings.Map(func(r rune) rune {
		// strings.Map gives one character for one, so that this one waits for ReplaceAll.
		if r == 'İ' {
			return r
		}
		return chars.ToLower(r)
	}, s), "İ", "i̇")
}

// stripMarks removes combining marks.
// It does not decompose: files put NFD in front of StripAccents.
func stripMarks(s string) string {
	return strings.Map(func(r rune) rune {
		// The second range was of marks when the reference's table was made.
		if unicode.Is(unicode.M, r) && !unicode.Is(chars.KeptMarks, r) || r >= 0x1cf2 && r <= 0x1cf3 {
			return -1
		}
		return r
	}, s)
}
