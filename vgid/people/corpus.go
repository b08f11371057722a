package people

import (
	_ "embed"
	"regexp"
	"strings"
)

var slotMark = regexp.MustCompile(`\{[a-z]+\}`)

//go:embed english.txt
var english string

// English is the general part of the tokenizer corpus: biography-style
// sentences and word lists, one a line.
// The base corpus alone would teach a tokenizer only the words of its templates, and
// spell out everything that a user types.
func English() []string {
	var out []string
	for _, line := range strings.Split(english, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// Corpus is n texts of base training (instruction, question, answer), then
// every line of English: what a tokenizer is trained on.
// Each of the n is one line, its parts joined by a blank, without image marks.
func Corpus(seed uint64, n int) ([]string, error) {
	m, err := KnowMix.WithDefaults()
	if err != nil {
		return nil, err
	}
	m.ImageSize = 1 // texts only, but the stream is the one that draws faces, too: draw as little as possible
	out := make([]string, 0, n)
	for i := range n {
		e := BaseExample(seed, uint64(i), m)
		out = append(out, strings.TrimSpace(e.Instruction+" "+e.Question+" "+e.Answer))
	}
	return append(out, English()...), nil
}
