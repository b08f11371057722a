package metric

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"vgid/model/hf/plainjson"
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
	err = plaintext.EachLine(f, func(n int, line []byte) error {
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
	r.Notices = WordlessNotice(r.wordless, r.Count)
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
	if Wordless(reference) {
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
	var fields map[string]json.RawMessage
	if err := plainjson.Unmarshal(line, &fields); err != nil {
		return "", "", fmt.Errorf("%w; give {\"prediction\": …, \"reference\": …}", err)
	}
	for _, f := range []struct {
		name string
		text *string
	}{{"prediction", &prediction}, {"reference", &reference}} {
		raw, ok := fields[f.name]
		switch {
		case !ok:
			return "", "", fmt.Errorf("field %q is missing", f.name)
		case string(raw) == "null":
			return "", "", fmt.Errorf("%s: null where a string should stand", f.name)
		}
		if err := plainjson.Unmarshal(raw, f.text); err != nil {
			return "", "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return prediction, reference, nil
}
