package ask

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"vgid/model"
	"vgid/model/hf/plainjson"
)

// Question is a prompt of raw text with the files of its images.
type Question struct {
	Prompt string   `json:"prompt"`
	Images []string `json:"images"`
}

// Answers lets the model continue prompts, as o says; Greedy is what the folder
// asks for. An answer ends before the first of the stop strings.
func (a *Asker) Answers(ctx context.Context, questions []Question, o model.GenerateOptions, stops []string) ([]string, error) {
	seqs := make([]model.Sequence, len(questions))
	for i, q := range questions {
		var err error
		if seqs[i], err = a.Sequence(q.Prompt, q.Images); err != nil {
			return nil, err
		}
		seqs[i].Sample = uint32(i)
	}
	o.Stop = either(o.Stop, a.stopper(stops, true))
	ids, err := a.Model.Generate(ctx, seqs, o)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(ids))
	for i := range ids {
		out[i] = cutAt(a.tok.Decode(ids[i], true), stops)
	}
	return out, nil
}

// stopper asks whether the text of an answer holds one of stops; without
// special tokens, where skip is set.
func (r *Reader) stopper(stops []string, skip bool) func([]int32) bool {
	if len(stops) == 0 {
		return nil
	}
	longest := 0
	for _, s := range stops {
		longest = max(longest, len(s))
	}
	return func(ids []int32) bool {
		// A token is a byte at least, so the last ones hold any stop string
		// that the last one completes.
		text := r.tok.Decode(ids[max(0, len(ids)-longest-8):], skip)
		for _, s := range stops {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
}

// either asks both of two stoppers, each of which may be nil.
func either(a, b func([]int32) bool) func([]int32) bool {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	return func(ids []int32) bool { return a(ids) || b(ids) }
}

// cutAt is text before the first of stops.
func cutAt(text string, stops []string) string {
	end := len(text)
	for _, s := range stops {
		if at := strings.Index(text, s); at >= 0 {
			end = min(end, at)
		}
	}
	return text[:end]
}

// questionBatch bounds the questions whose images are in memory at once.
const questionBatch = 64

// AnswerLines answers the questions of a JSONL file, one object a line, and
// writes each with the field answer added. Paths of images are relative to
// dir. The lines keep their order and their other fields.
func (a *Asker) AnswerLines(ctx context.Context, in io.Reader, name, dir string, out io.Writer, o model.GenerateOptions, stops []string) (int, error) {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 16<<20)
	var lines []map[string]json.RawMessage
	var questions []Question
	n, line := 0, 0
	flush := func() error {
		answers, err := a.Answers(ctx, questions, o, stops)
		if err != nil {
			return fmt.Errorf("%s: up to line %d: %w", name, line, err)
		}
		for i, l := range lines {
			if l["answer"], err = json.Marshal(answers[i]); err != nil {
				return err
			}
			b, err := json.Marshal(l)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		n += len(lines)
		lines, questions = lines[:0], questions[:0]
		return nil
	}
	for scan.Scan() {
		text := scan.Bytes()
		if line++; line == 1 {
			text = bytes.TrimPrefix(text, []byte("\uFEFF")) // the byte order mark of some editors
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var l map[string]json.RawMessage
		var q Question
		err := plainjson.Unmarshal(text, &l)
		if err == nil {
			err = plainjson.Unmarshal(text, &q)
		}
		if err == nil && q.Prompt == "" {
			err = fmt.Errorf("prompt is missing or empty")
		}
		if err != nil {
			return n, fmt.Errorf("%s, line %d: %w; each line is {\"prompt\": TEXT, \"images\": [FILE, …]}", name, line, err)
		}
		for i, p := range q.Images {
			if !filepath.IsAbs(p) {
				q.Images[i] = filepath.Join(dir, p)
			}
		}
		lines, questions = append(lines, l), append(questions, q)
		if len(lines) == questionBatch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := scan.Err(); err != nil {
		return n, fmt.Errorf("%s, line %d: %w", name, line+1, err)
	}
	return n, flush()
}
