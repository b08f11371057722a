// Package teststrings makes strings that are hard on a tokenizer: words and
// prose, code, some thirty scripts, emoji, combining marks, control characters,
// runs of blanks, a tokenizer's added tokens, any code points. They come from a
// counter, and tokenizer/testdata/teststrings.py makes the same ones.
package teststrings

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

//go:embed pieces.json
var piecesJSON []byte

// Maker makes the strings of one tokenizer.
type Maker struct {
	pieces [][]string // lists by their kind
}

// For makes strings with the added tokens of a tokenizer.json, 64 at most.
func For(tokenizerJSON []byte) (*Maker, error) {
	var file struct {
		Added []struct {
			Content string `json:"content"`
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(tokenizerJSON, &file); err != nil {
		return nil, err
	}
	var m Maker
	if err := json.Unmarshal(piecesJSON, &m.pieces); err != nil {
		return nil, fmt.Errorf("pieces.json: %w", err)
	}
	var added []string
	for _, a := range file.Added[:min(len(file.Added), 64)] {
		added = append(added, a.Content)
	}
	if added == nil {
		added = []string{"<none>"}
	}
	m.pieces = append(m.pieces, added)
	return &m, nil
}

// String is string i.
// It depends on i and the tokenizer's tokens alone.
func (m *Maker) String(i int) string {
	var b strings.Builder
	r := newSplitMix(i)
	for range 1 + r.below(12) {
		switch kind := r.below(len(m.pieces) + 4); kind {
		default:
			b.WriteString(m.pieces[kind][r.below(len(m.pieces[kind]))])
		case len(m.pieces): // a run of one blank or sign
			sign := []rune(" \n\t.\u00a0-=_\u3000")[r.below(9)]
			b.WriteString(strings.Repeat(string(sign), 1+r.below(20)))
		case len(m.pieces) + 1: // a number
			top := 10
			for range r.below(12) {
				top *= 10
			}
			b.WriteString(strconv.Itoa(r.below(top)))
		case len(m.pieces) + 2: // a neighbourhood of a script
			base := r.below(0x3200)
			for range 1 + r.below(8) {
				b.WriteRune(rune(base + r.below(24)))
			}
		case len(m.pieces) + 3: // any code points
			for range 1 + r.below(4) {
				c := r.below(0x110000 - 0x800)
				if c >= 0xd800 {
					c += 0x800
				}
				b.WriteRune(rune(c))
			}
		}
		if r.below(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// splitMix is SplitMix64.
// It is a few lines in any language (Steele et al. 2014), so that Python draws the same.
type splitMix uint64

// newSplitMix keeps seeds far apart on the counter: neighbours share no numbers.
func newSplitMix(seed int) splitMix { return splitMix(uint64(seed)*0xd1342543de82ef95 + 1) }

// below is a number from 0 to n − 1. That a remainder favours small numbers a little harms nothing
// here.
func (s *splitMix) below(n int) int {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) >> 11 % uint64(n))
}
