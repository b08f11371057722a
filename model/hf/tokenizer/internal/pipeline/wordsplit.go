package pipeline

import (
	"unicode"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
)

// WordSplit recognises by hand the split expressions of the GPT-2, Qwen and
// Llama 3 tokenizers, which run on every byte of text: a general engine with
// look-ahead is several times slower. A property test holds it to the engine.
//
// Next must take exactly what the expression's first alternative that matches takes, as engines
// that backtrack do: not the longest match of all.
// The expressions have their alternatives in one order, and differ in these fields.
type WordSplit struct {
	foldCase   bool // contractions match in any case
	leadAny    bool // any single non-letter, non-digit, non-newline may lead a word; else only a space
	digits     int  // digits per piece; 0: a run with an optional leading space
	newlines   bool // punctuation takes following newlines; blank lines end at the last newline
	leadDigits bool // a space may lead a digit run
}

// GPT2Split is the expression of the pre-tokenizer ByteLevel.
var GPT2Split = WordSplit{leadDigits: true}

// gpt2Pattern is how GPT-2's encoder.py writes it.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// knownPatterns maps the expressions as they are written in released files.
var knownPatterns = map[string]WordSplit{
	gpt2Pattern: GPT2Split,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:      {foldCase: true, leadAny: true, digits: 1, newlines: true},
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: {foldCase: true, leadAny: true, digits: 3, newlines: true},
}

// Split passes every match to yield. The matches cover the text: the last alternatives
// take what is left.
// It is a splitter (pretoken.go).
func (w WordSplit) Split(s string, first bool, yield func(string, bool) error) error {
	for i := 0; i < len(s); {
		n := w.Next(s[i:])
		if err := yield(s[i:i+n], first && i == 0); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// Character classes of the expressions.
const (
	other = iota
	letter
	number
	space
)

// class is what the expressions ask of a character: \p{L}, \p{N}, \s or none of them.
func class(r rune) int {
	if r < utf8.RuneSelf {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return letter
		case r >= '0' && r <= '9':
			return number
		case r == ' ' || r >= '\t' && r <= '\r':
			return space
		}
		return other
	}
	switch {
	case chars.IsLetter(r):
		return letter
	case chars.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt is the class of a text's first character, its length and itself; -1 at the end.
func classAt(s string) (int, int, rune) {
	if s == "" {
		return -1, 0, 0
	}
	if s[0] < utf8.RuneSelf {
		return class(rune(s[0])), 1, rune(s[0])
	}
	r, n := utf8.DecodeRuneInString(s)
	return class(r), n, r
}

// run is the byte length of the leading characters of class c, at most limit of them (0: no limit).
// The limit is {1,3} of Llama 3.
func run(s string, c, limit int) int {
	i := 0
	for k := 0; limit == 0 || k < limit; k++ {
		cc, n, _ := classAt(s[i:])
		if cc != c {
			break
		}
		i += n
	}
	return i
}

// isNewline is [\r\n] of the expressions; other line ends are blanks to them.
func isNewline(b byte) bool { return b == '\n' || b == '\r' }

// Next is the length of the first match; alternatives are tried in order.
func (w WordSplit) Next(s string) int {
	if n := w.contraction(s); n > 0 {
		return n
	}
	c, n, r := classAt(s)
	after := s[n:]
	// [lead]?letters
	if c == letter {
		return n + run(after, letter, 0)
	}
	if r == ' ' || w.leadAny && c != number && r != '\r' && r != '\n' {
		if k := run(after, letter, 0); k > 0 {
			return n + k
		}
	}
	// digits
	// A class of its own in front of punctuation: \p{N} holds letters of counting, such as Ⅳ and
	// ½, too.
	if c == number {
		return run(s, number, w.digits)
	}
	if r == ' ' && w.leadDigits {
		if k := run(after, number, 0); k > 0 {
			return n + k
		}
	}
	// ?punctuation
	// In the expression the blank is optional in front of punctuation, in every variant.
	lead := 0
	if r == ' ' {
		lead = 1
	}
	if k := run(s[lead:], other, 0); k > 0 {
		k += lead
		for w.newlines && k < len(s) && isNewline(s[k]) {
			k++
		}
		return k
	}
	return w.blank(s)
}

// blank matches \s*[\r\n]+ (with newlines), \s+(?!\S), \s+.
func (w WordSplit) blank(s string) int {
	all := run(s, space, 0)
	if w.newlines {
		for i := all; i > 0; i-- {
			if isNewline(s[i-1]) {
				return i
			}
		}
	}
	if all == len(s) {
		return all
	}
	// The last blank stays with what follows, unless it is the only one.
	_, last := utf8.DecodeLastRuneInString(s[:all])
	if all > last {
		return all - last
	}
	return all
}

// contraction matches 's 't 're 've 'm 'll 'd.
func (w WordSplit) contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	a, n := w.fold(s[1:])
	switch a {
	case 's', 't', 'm', 'd':
		return 1 + n
	}
	b, k := w.fold(s[1+n:])
	if (a == 'r' || a == 'v') && b == 'e' || a == 'l' && b == 'l' {
		return 1 + n + k
	}
	return 0
}

// fold is the first character in lower case when case is ignored, by Unicode's
// rules: the long s folds to s.
func (w WordSplit) fold(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if w.foldCase {
		if r == 'ſ' {
			return 's', n
		}
		if r < utf8.RuneSelf {
			r = unicode.ToLower(r)
		}
	}
	return r, n
}
