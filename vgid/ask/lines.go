package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"vgid/model"
	"vgid/model/hf/imaging"
	"vgid/model/kit/plainjson"
	"vgid/model/kit/plaintext"
)

// Line is one object of a file of prompts.
type Line struct {
	Question
	Fields map[string]json.RawMessage // all of them
	Err    error                      // why it cannot be answered, with file and line
	Where  string                     // file and line
}

// LineForm is how a line of a file of prompts looks.
const LineForm = `{"prompt": TEXT, "images": [FILE, …]}`

// ReadLines reads a file of prompts, one JSON object a line; empty lines do not
// count. Paths of images are relative to dir. What is wrong with a line is its own
// error.
func ReadLines(in io.Reader, name, dir string) ([]Line, error) {
	var out []Line
	read := 0
	err := plaintext.EachLine(in, func(n int, text []byte) error {
		read = n
		l := Line{Where: fmt.Sprintf("%s, line %d", name, n)}
		if err := l.read(text, dir); err != nil {
			l.Err = fmt.Errorf("%s: %w; each line is %s", l.Where, err, LineForm)
		}
		out = append(out, l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s, behind line %d: %w", name, read, err)
	}
	return out, nil
}

// read fills in the line. An unknown field is kept and written again beside the answer;
// image alone is refused, as a prompt would silently be asked without its picture.
func (l *Line) read(text []byte, dir string) error {
	if err := plainjson.Unmarshal(text, &l.Fields); err != nil {
		return err
	}
	if err := plainjson.Unmarshal(text, &l.Question); err != nil {
		return err
	}
	if l.Prompt == "" {
		return errors.New("prompt is missing or empty")
	}
	_, one := l.Fields["image"]
	if _, several := l.Fields["images"]; one && !several {
		return errors.New("it has a field image, which would not be seen: name its files in images, or write [] there if the prompt is meant without one")
	}
	for i, p := range l.Images {
		if !filepath.IsAbs(p) {
			l.Images[i] = filepath.Join(dir, p)
		}
	}
	return nil
}

// Check looks at the prompt and the pictures of every line, and sets Err where the
// model cannot read them with an answer of maxNew tokens: before hours of answers,
// not after them. It fails only where ctx ends.
func (a *Asker) Check(ctx context.Context, lines []Line, maxNew int) error {
	seen := map[string]picture{}
	for i := range lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		if l := &lines[i]; l.Err == nil {
			if err := a.reads(l, seen, maxNew); err != nil {
				l.Err = fmt.Errorf("%s: %w", l.Where, err)
			}
		}
	}
	return nil
}

// picture is an image file that was looked at: of its pixels only the count is kept.
type picture struct {
	grid imaging.Grid
	err  error
}

// reads is Check of one line; seen holds the pictures that were decoded for lines before.
func (a *Asker) reads(l *Line, seen map[string]picture, maxNew int) error {
	images := make([]imaging.Image, len(l.Images))
	for i, path := range l.Images {
		p, ok := seen[path]
		if !ok {
			img, err := a.Picture(path)
			p = picture{img.Grid, err}
			seen[path] = p
		}
		if p.err != nil {
			return p.err
		}
		images[i].Grid = p.grid
	}
	s, _, err := a.sequence(l.Prompt, "", images)
	if err != nil {
		return err
	}
	if most := a.cfg.Text.MaxPositions; len(s.IDs)+maxNew > most {
		return fmt.Errorf("the prompt takes %d tokens, %d with an answer, the model reads %d at most (max_position_embeddings): shorten it, or let the answer be shorter", len(s.IDs), len(s.IDs)+maxNew, most)
	}
	return nil
}

// AnswerLines answers the lines without an Err, and writes each with its answer as
// one more field. They keep their order and their other fields. It gives how many
// it wrote, also beside an error: the first ones.
func (a *Asker) AnswerLines(ctx context.Context, lines []Line, field string, out io.Writer, o model.GenerateOptions, stops []string) (int, error) {
	var asked []Line
	var questions []Question
	for _, l := range lines {
		if l.Err == nil {
			asked, questions = append(asked, l), append(questions, l.Question)
		}
	}
	answers, failed := a.Answers(ctx, questions, o, stops)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // <image> stays readable
	for i, text := range answers {
		var err error
		if asked[i].Fields[field], err = json.Marshal(text); err != nil {
			return i, err
		}
		if err := enc.Encode(asked[i].Fields); err != nil {
			return i, err
		}
	}
	at := len(answers)
	var broken *model.NotFiniteError
	if errors.As(failed, &broken) {
		at = broken.Prompt
	}
	if failed != nil && at < len(asked) {
		failed = fmt.Errorf("%s: %w", asked[at].Where, failed)
	}
	return len(answers), failed
}
