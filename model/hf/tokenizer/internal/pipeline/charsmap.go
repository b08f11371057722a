package pipeline

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// charsmap is SentencePiece's precompiled normalizer: a double-array trie from
// character sequences to places in a text of zero-terminated replacements.
// A trie of two arrays in one: a unit holds the byte that leads to it and where its children
// begin, which is at that place xor the child's byte. Replacements may be empty, which deletes.
type charsmap struct {
	units []uint32
	text  []byte
}

// newCharsmap reads the length of the trie, the trie, and the replacements.
// What a file says of sizes and places is not trusted: lookup checks every index against what is
// there.
func newCharsmap(b64 string) (*charsmap, error) {
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap is not base64: %w", err)
	}
	if len(b) < 8 {
		return nil, fmt.Errorf("precompiled_charsmap is truncated: %d bytes", len(b))
	}
	// The length is in bytes; units have four each, little-endian (SentencePiece, normalizer.cc).
	size := binary.LittleEndian.Uint32(b)
	if size < 4 || uint64(size)+4 > uint64(len(b)) {
		return nil, fmt.Errorf("precompiled_charsmap is truncated: its trie has %d bytes, the field %d", size, len(b))
	}
	c := &charsmap{units: make([]uint32, size/4), text: b[4+size/4*4:]}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(b[4+4*i:])
	}
	if !utf8.Valid(c.text) {
		return nil, fmt.Errorf("precompiled_charsmap: its replacements are not UTF-8")
	}
	return c, nil
}

// lookup is the replacement of the shortest sequence of the map that s starts
// with. (The shortest, and for the whole of s: so does the reference.)
// Bit 8 of a unit says that a sequence ends there; the unit at its offset then holds the place of
// the text. Bit 31 marks such units, so that no byte is taken for one.
func (c *charsmap) lookup(s string) (string, bool) {
	unit := c.units[0]
	at := offset(unit)
	for i := 0; i < len(s) && s[i] != 0; i++ {
		at ^= uint32(s[i])
		if at >= uint32(len(c.units)) {
			return "", false
		}
		unit = c.units[at]
		if unit&(1<<31|0xff) != uint32(s[i]) {
			return "", false
		}
		at ^= offset(unit)
		if unit>>8&1 == 0 {
			continue
		}
		if at >= uint32(len(c.units)) {
			return "", false
		}
		from := c.units[at] & (1<<31 - 1)
		if from > uint32(len(c.text)) {
			return "", false
		}
		text := c.text[from:]
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		return string(text), true
	}
	return "", false
}

// offset of a unit to its children: 22 bits, or with bit 9 set 256 times as many (the
// layout of Darts-clone, which SentencePiece stores).
func offset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// normalize replaces user-perceived characters of less than six bytes as a
// whole where the map knows them, and code points one by one elsewhere.
func (c *charsmap) normalize(s string) string {
	var b strings.Builder
	// uniseg goes on from the state it gave for the cluster before; -1 begins anew.
	state := -1
	for s != "" {
		var g string
		// ASCII followed by ASCII is a character by itself, but for \r\n.
		if s[0] < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) && s[0] != '\r' {
			g, s, state = s[:1], s[1:], -1
		} else {
			g, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		}
		// The bound is the reference's (tokenizers, normalizers/precompiled.rs): a cluster of six
		// bytes or more is never looked up as a whole.
		if len(g) < 6 {
			if r, ok := c.lookup(g); ok {
				b.WriteString(r)
				continue
			}
		}
		for _, r := range g {
			one := string(r)
			if with, ok := c.lookup(one); ok {
				one = with
			}
			b.WriteString(one)
		}
	}
	return b.String()
}
