package metric

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"vgid/eval/dataset"
	"vgid/model/kit/plainjson"
	"vgid/model/kit/plaintext"
)

// ScoreReport is what `vgid score` prints: means over Count pairs of texts, of
// every metric that compares two texts.
// Metrics that judge more than two texts, as those of classification, are not in it.
type ScoreReport struct {
	Count   int
	Means   []Mean   // in the order of the metrics
	Notices []string // what a user should know about the pairs; not printed as JSON
}

// Mean is a metric's mean over pairs of texts.
type Mean struct {
	Key string
	Value
}

// Mean is the mean of one metric; zero for one that compares no texts.
func (r *ScoreReport) Mean(key string) Value {
	for _, m := range r.Means {
		if m.Key == key {
			return m.Value
		}
	}
	return Value{}
}

// Part is a part of a value by its name; zero for one that it has not.
func (v Value) Part(name string) float64 {
	for _, p := range v.Parts {
		if p.Name == name {
			return p.Value
		}
	}
	return 0
}

// MarshalJSON writes {"count": n, KEY: value, …} in the order of the metrics.
func (r ScoreReport) MarshalJSON() ([]byte, error) {
	o := object{}
	err := o.field("count", r.Count)
	for _, m := range r.Means {
		if err == nil {
			err = o.field(m.Key, m.Value)
		}
	}
	return o.bytes(), err
}

// MarshalJSON writes a score as a number, one with parts as an object of them.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Parts == nil {
		return json.Marshal(v.Score)
	}
	o := object{}
	for _, p := range v.Parts {
		if err := o.field(p.Name, p.Value); err != nil {
			return nil, err
		}
	}
	return o.bytes(), nil
}

// object is a JSON object whose fields keep their order.
// encoding/json orders the keys of a map by name, and a struct would have to know the
// metrics that are registered.
type object struct{ text bytes.Buffer }

func (o *object) field(name string, v any) error {
	key, err := json.Marshal(name)
	if err != nil {
		return err
	}
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	sep := byte(',')
	if o.text.Len() == 0 {
		sep = '{'
	}
	o.text.WriteByte(sep)
	o.text.Write(key)
	o.text.WriteByte(':')
	o.text.Write(value)
	return nil
}

func (o *object) bytes() []byte { return append(o.text.Bytes(), '}') }

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
	var references []string
	err = plaintext.EachLine(f, func(n int, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		prediction, reference, err := parsePair(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		r.add(prediction, reference)
		references = append(references, reference)
		return nil
	})
	if err != nil {
		return ScoreReport{}, err
	}
	if r.Count == 0 {
		return ScoreReport{}, fmt.Errorf("%s: no line to score; give one {\"prediction\": …, \"reference\": …} a line", path)
	}
	r.average()
	r.Notices = Notices(dataset.Generation, references)
	return r, nil
}

// add sums; average makes means of the sums.
func (r *ScoreReport) add(prediction, reference string) {
	r.Count++
	at := 0
	for _, m := range registered {
		if m.Compare == nil {
			continue
		}
		v := m.Compare(reference, prediction)
		if at == len(r.Means) {
			r.Means = append(r.Means, Mean{m.Key, Value{v.Score, slices.Clone(v.Parts)}})
		} else {
			sum := &r.Means[at].Value
			sum.Score += v.Score
			for i, p := range v.Parts {
				sum.Parts[i].Value += p.Value
			}
		}
		at++
	}
}

// average divides the sums by Count, which is not 0; it is called once.
func (r *ScoreReport) average() {
	n := float64(r.Count)
	for i := range r.Means {
		v := &r.Means[i].Value
		v.Score /= n
		for k := range v.Parts {
			v.Parts[k].Value /= n
		}
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
