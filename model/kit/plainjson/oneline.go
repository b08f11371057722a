package plainjson

import (
	"bytes"
	"encoding/json"
)

// mostQuoted is about how much of a value an error quotes, in runes.
const mostQuoted = 120

// OneLine is a JSON value as an error quotes it: on one line however it was
// indented, with a space behind commas and colons, and not at any length.
func OneLine(value []byte) string {
	var compact bytes.Buffer
	// What is no JSON is quoted all the same, with its blanks run together.
	if json.Compact(&compact, value) != nil {
		return string(bytes.Join(bytes.Fields(value), []byte(" ")))
	}
	var out []byte
	quoted, escaped := false, false
	for _, c := range compact.Bytes() {
		out = append(out, c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	if r := []rune(string(out)); len(r) > mostQuoted {
		return string(r[:mostQuoted]) + "…"
	}
	return string(out)
}
