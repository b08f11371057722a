package metric

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScoreFile(t *testing.T) {
	write := func(s string) string {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r, err := ScoreFile(t.Context(), write("\uFEFF{\"prediction\":\"a b\",\"reference\":\"a b\",\"id\":1}\r\n\n{\"prediction\":\"\",\"reference\":\"x\"}"))
	if err != nil || r.Count != 2 || r.Mean(ROUGE1).Score != .5 || r.Mean(ROUGEL).Part("r") != .5 {
		t.Errorf("%+v, %v", r, err)
	}
	good := `{"prediction":"a","reference":"a"}` + "\n"
	for in, want := range map[string]string{
		good + `{"prediction":"a"}`:            `x.jsonl:2: field "reference" is missing`,
		`{"prediction":3,"reference":"a"}`:     `x.jsonl:1: prediction: number where a string should stand`,
		`{"prediction":"a","reference":null}`:  `reference: null where a string should stand`,
		`{"prediction":["a"],"reference":"a"}`: `prediction: array where a string should stand`,
		good + "\n" + `{"prediction":"a`:       `x.jsonl:3: not valid JSON at byte`,
		`"text"`:                               "string where an object should stand",
		`null`:                                 `field "prediction" is missing`,
		"\n":                                   "no line to score",
		good + "{\"prediction\":\"K\xf6ln\",\"reference\":\"a\"}": "x.jsonl:2: byte 17 (0xF6) is no UTF-8",
		`{"prediction":"a","reference":"\ud83d"}`:                 `x.jsonl:1: \ud83d at byte 32 is half a character`,
	} {
		_, err := ScoreFile(t.Context(), write(in))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: want %q, got %v", in, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ScoreFile(ctx, write(good)); err == nil {
		t.Error("a cancelled scoring went on")
	}
}

func FuzzParsePair(f *testing.F) {
	f.Add([]byte(`{"prediction":"a","reference":"\ud800"}`))
	f.Add([]byte(`{"prediction":{},"reference":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, r, err := parsePair(line)
		if err != nil {
			if p != "" && r != "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q, %q, %v", p, r, err)
			}
			return
		}
		var s ScoreReport
		s.add(p, r)
		for _, m := range s.Means {
			if !(m.Score >= 0 && m.Score <= 1) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
