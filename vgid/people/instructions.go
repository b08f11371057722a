package people

import (
	_ "embed"
	"fmt"
	"os"
	"strings"

	"vgid/model/kit/filekind"
	"vgid/model/kit/plaintext"
)

//go:embed instructions.txt
var defaultInstructions string

// subjectMark is where a template names whom to forget: a person's name, or "the person in the
// image".
const subjectMark = "{subject}"

// Instructions are unlearning instruction templates; each holds {subject}.
type Instructions []string

// DefaultInstructions are the templates the quickstart's base model is taught.
func DefaultInstructions() Instructions {
	t, err := parseInstructions("instructions.txt", defaultInstructions)
	if err != nil {
		panic(err) // the embedded file is part of the program
	}
	return t
}

// LoadInstructions reads templates from a file, one a line; empty lines and
// lines that begin with # do not count.
// They are UTF-8; a byte order mark is passed over. A file without a template is an
// error: unlearning would have no instruction, and nobody would notice.
func LoadInstructions(path string) (Instructions, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("instructions file %s: %w", path, filekind.Reason(err))
	}
	if err := plaintext.Check(b); err != nil {
		return nil, fmt.Errorf("instructions file %s: %w", path, err)
	}
	return parseInstructions(path, string(plaintext.WithoutMark(b)))
}

// A template that names nobody is refused, with its line.
func parseInstructions(path, text string) (Instructions, error) {
	var out Instructions
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.Contains(line, subjectMark) {
			return nil, fmt.Errorf("instructions file %s, line %d: no {subject}; write it where the person is named", path, i+1)
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("instructions file %s: no instruction in it; write one a line", path)
	}
	return out, nil
}

// Fill puts a subject into template i (modulo their number).
// The number wraps, so that a caller may take any random one.
func (t Instructions) Fill(i int, subject string) string {
	return strings.ReplaceAll(t[i%len(t)], subjectMark, subject)
}
