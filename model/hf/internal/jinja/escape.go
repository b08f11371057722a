package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// isSpace is Python's str.isspace, which knows four more separators than Go.
func isSpace(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r >= 0x1c && r <= ' ', r == 0x85, r == 0xa0, r == 0x1680,
		r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}

// plainEscapes are those of one letter.
// Those of digits (octal, \x, \u, \U) unescape reads itself.
var plainEscapes = map[byte]byte{'\\': '\\', '\'': '\'', '"': '"', 'a': 7, 'b': 8, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}

// unescape reads the backslash sequences of a Python string literal; unknown
// ones stay as they are.
// Jinja decodes a literal as unicode-escape (lexer.py, wrap). Lone surrogates, which Python can
// hold, are refused: a Go string has no form for them.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			i++
			continue
		}
		c := s[i+1]
		size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		switch {
		case plainEscapes[c] != 0:
			out = append(out, plainEscapes[c])
			i += 2
		// A backslash at the end of a line joins it to the next.
		case c == '\n':
			i += 2
		case c >= '0' && c <= '7':
			n := 2
			for n < 4 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7' {
				n++
			}
			v, _ := strconv.ParseUint(s[i+1:i+n], 8, 16)
			out = utf8.AppendRune(out, rune(v))
			i += n
		case size > 0:
			if i+2+size > len(s) {
				return "", fmt.Errorf(`escape \%c needs %d hexadecimal digits`, c, size)
			}
			v, err := strconv.ParseUint(s[i+2:i+2+size], 16, 32)
			if err != nil || !utf8.ValidRune(rune(v)) {
				return "", fmt.Errorf(`escape \%s is not a character`, s[i+1:i+2+size])
			}
			out = utf8.AppendRune(out, rune(v))
			i += 2 + size
		case c == 'N':
			return "", fmt.Errorf(`escape \N{…} is not supported`)
		default:
			out = append(out, '\\')
			i++
		}
	}
	return string(out), nil
}
