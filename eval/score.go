package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"vgid/model/plaintext"
)

// ScoreReport is what `vgid score` prints: means over Count pairs of texts.
type ScoreReport struct {
	Count  int     `json:"count"`
	ROUGE1 PRF     `json:"rouge1"`
	ROUGE2 PRF     `json:"rouge2"`
	ROUGEL PRF     `json:"rougeL"`
	BLEU   float64 `json:"bleu"`

	Notices  []string `json:"-"` // what a user should know about the pairs
	wordless int
}

// ScoreFile scores a file of one {"prediction": text, "reference": text} a
// line; blank lines are skipped, further fields ignored. An error names the
// file, the line and the field.
func ScoreFile(ctx context.Context, path string) (ScoreReport, error) {
	f, err := os.Open(path)
	if err != nil {
		return ScoreReport{}, err
	}
	defer f.Close()
	var r ScoreReport
	err = eachLine(f, func(n int, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		prediction, reference, err := parsePair(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		r.add(prediction, reference)
		return nil
	})
	if err != nil {
		return ScoreReport{}, err
	}
	if r.Count == 0 {
		return ScoreReport{}, fmt.Errorf("%s: no line to score; give one {\"prediction\": …, \"reference\": …} a line", path)
	}
	r.average()
	r.Notices = wordless(r.wordless, r.Count)
	return r, nil
}

func (r *ScoreReport) add(prediction, reference string) {
	s := Rouge(reference, prediction)
	for _, x := range []struct {
		sum *PRF
		PRF
	}{{&r.ROUGE1, s.R1}, {&r.ROUGE2, s.R2}, {&r.ROUGEL, s.RL}} {
		x.sum.F += x.F
		x.sum.P += x.P
		x.sum.R += x.R
	}
	r.BLEU += Bleu(reference, prediction)
	r.Count++
	if len(rougeTokens(reference)) == 0 {
		r.wordless++
	}
}

func (r *ScoreReport) average() {
	n := float64(r.Count)
	for _, v := range []*float64{
		&r.ROUGE1.F, &r.ROUGE1.P, &r.ROUGE1.R, &r.ROUGE2.F, &r.ROUGE2.P, &r.ROUGE2.R,
		&r.ROUGEL.F, &r.ROUGEL.P, &r.ROUGEL.R, &r.BLEU,
	} {
		*v /= n
	}
}

// parsePair reads one line. The error says which field is wrong and how.
func parsePair(line []byte) (prediction, reference string, err error) {
	if err := plaintext.CheckJSON(line); err != nil {
		return "", "", err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return "", "", fmt.Errorf("%s; give {\"prediction\": …, \"reference\": …}", jsonProblem(err))
	}
	text := func(name string) (s string, err error) {
		raw, ok := fields[name]
		if !ok {
			return "", fmt.Errorf("field %q is missing", name)
		}
		if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, &s) != nil {
			return "", fmt.Errorf("field %q is %s; it must be a string", name, kindOf(raw))
		}
		return s, nil
	}
	if prediction, err = text("prediction"); err != nil {
		return "", "", err
	}
	reference, err = text("reference")
	return prediction, reference, err
}

// jsonProblem words a decoding error for a person.
func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not valid JSON at byte %d (%v)", syntax.Offset, err)
	case errors.As(err, &kind) && kind.Field == "":
		return "a JSON " + kind.Value + " instead of an object"
	case errors.As(err, &kind):
		return fmt.Sprintf("field %q is a %s", kind.Field, strings.SplitN(kind.Value, " ", 2)[0])
	}
	return err.Error()
}

func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
