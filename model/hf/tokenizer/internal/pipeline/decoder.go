package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/kit/plainjson"
)

// Decoder rewrites the list of tokens; the pieces are joined at the end.
// It may change the list that it is given: whoever decodes makes one for it.
type Decoder func([]string) ([]string, error)

// NewDecoder makes the decoder of tokenizer.json. Without one the library puts spaces
// between tokens.
// Each decoder hands a list to the next one, since some need the borders of tokens that others
// have joined already.
func NewDecoder(raw json.RawMessage) (Decoder, error) {
	if plainjson.IsNull(raw) {
		return func(toks []string) ([]string, error) { return []string{strings.Join(toks, " ")}, nil }, nil
	}
	c, err := parseComponent(raw)
	if err != nil {
		return nil, err
	}
	switch c.Type {
	case "Sequence":
		return sequence(c.Decoders, NewDecoder)
	case "ByteLevel":
		return decodeByteLevel, nil
	case "ByteFallback":
		return decodeFallback, nil
	// Fuse makes one token of all, so that what follows sees the text as a whole.
	case "Fuse":
		return func(toks []string) ([]string, error) { return []string{strings.Join(toks, "")}, nil }, nil
	case "Replace":
		f, err := newReplace(c)
		if err != nil {
			return nil, err
		}
		return eachToken(f), nil
	case "Strip":
		if utf8.RuneCountInString(c.Content) != 1 {
			return nil, fmt.Errorf("Strip: content %q is not one character", c.Content)
		}
		return eachToken(plain(func(s string) string { return stripToken(s, c) })), nil
	case "Metaspace":
		return newMetaspaceDecoder(c), nil
	case "WordPiece":
		return newWordPieceDecoder(c), nil
	case "BPEDecoder":
		return func(toks []string) ([]string, error) {
			for i, t := range toks { // the suffix ends words; behind the last there is no space
				blank := " "
				if i == len(toks)-1 {
					blank = ""
				}
				toks[i] = strings.ReplaceAll(t, c.Suffix, blank)
			}
			return toks, nil
		}, nil
	}
	return nil, fmt.Errorf("type %q is not supported", c.Type)
}

// eachToken is a decoder that rewrites each token on its own.
func eachToken(f Normalizer) Decoder {
	return func(toks []string) ([]string, error) {
		for i, t := range toks {
			var err error
			if toks[i], err = f(t); err != nil {
				return nil, err
			}
		}
		return toks, nil
	}
}

// stripToken removes up to Start and Stop copies of the content at the ends.
// Start and Stop count characters, of which Content is one.
func stripToken(s string, c component) string {
	for k := 0; k < c.Start && strings.HasPrefix(s, c.Content); k++ {
		s = s[len(c.Content):]
	}
	for k := 0; k < c.Stop && strings.HasSuffix(s, c.Content); k++ {
		s = s[:len(s)-len(c.Content)]
	}
	return s
}

// decodeByteLevel undoes the byteRune spelling; a token with any other
// character (an added token) stands for its own bytes.
// Tokens are joined before they are read as UTF-8, for a character's bytes may lie in two of
// them.
func decodeByteLevel(toks []string) ([]string, error) {
	var out []byte
	for _, t := range toks {
		if raw, ok := chars.FromByteLevel(t); ok {
			out = append(out, raw...)
		} else {
			out = append(out, t...)
		}
	}
	return []string{chars.LossyUTF8(out)}, nil
}

// decodeFallback joins runs of <0xXX> tokens; a run that is not UTF-8 becomes
// one U+FFFD per byte.
// These tokens stand for bytes of characters that the vocabulary lacks (byte_fallback).
func decodeFallback(toks []string) ([]string, error) {
	var out []string
	var run []byte
	flush := func() {
		if len(run) == 0 {
			return
		}
		// As a whole: bytes that begin well and end badly are all replaced, as in the reference.
		if utf8.Valid(run) {
			out = append(out, string(run))
		} else {
			for range run {
				out = append(out, "\uFFFD")
			}
		}
		run = run[:0]
	}
	for _, t := range toks {
		if len(t) == 6 && strings.HasPrefix(t, "<0x") && t[5] == '>' {
			if b, err := strconv.ParseUint(t[3:5], 16, 8); err == nil {
				run = append(run, byte(b))
				continue
			}
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out, nil
}

// tidy are the blanks a WordPiece decoder takes out, one after the other.
// They are those of the reference's cleanup, in its order, which matters: what one takes out the
// next does not see.
var tidy = [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
	{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}}

// newWordPieceDecoder puts a space before each token that begins a word. The clean-up
// looks at one token at a time, so that it never sees what two of them make.
func newWordPieceDecoder(c component) Decoder {
	return func(toks []string) ([]string, error) {
		for i, t := range toks {
			if tail, ok := strings.CutPrefix(t, c.Prefix); ok && i > 0 {
				t = tail
			} else if i > 0 {
				t = " " + t
			}
			if c.Cleanup {
				for _, r := range tidy {
					t = strings.ReplaceAll(t, r[0], r[1])
				}
			}
			toks[i] = t
		}
		return toks, nil
	}
}

// newMetaspaceDecoder makes spaces of marks again, all but the one that encoding put at
// the front.
// With the scheme never nothing was put there, so the first mark is a space of the text.
func newMetaspaceDecoder(c component) Decoder {
	rep := c.Replacement
	keep := c.prependMode() == "never"
	return func(toks []string) ([]string, error) {
		for i, t := range toks {
			blank := " "
			if i == 0 && !keep {
				blank = ""
			}
			toks[i] = strings.ReplaceAll(t, rep, blank)
		}
		return toks, nil
	}
}
