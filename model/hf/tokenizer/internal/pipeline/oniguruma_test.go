package pipeline

import (
	"encoding/json"
	"slices"
	"testing"

	"vgid/model/kit/hftest"
)

// Regular expressions mean what they mean to the reference's engine
// (testdata/make_regex.py).
func TestRegexAsReference(t *testing.T) {
	hftest.SameUnicode(t)
	var gold struct {
		Texts []string
		Cases []struct {
			Split, Replace json.RawMessage
			Pieces         [][]string
			Replaced       []string
		}
	}
	hftest.Golden(t, "regex.json.gz", &gold)
	for _, c := range gold.Cases {
		pre, err := NewPreTokenizer(c.Split)
		if err != nil {
			t.Fatal(err)
		}
		replace, err := NewNormalizer(c.Replace)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range gold.Texts {
			var got []string
			if err := pre.Run(text, true, func(p string) error { got = append(got, p); return nil }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.Pieces[i]) {
				t.Errorf("%s: %q splits into %q, want %q", c.Split, text, got, c.Pieces[i])
			}
			if out, err := replace(text); out != c.Replaced[i] || err != nil {
				t.Errorf("%s: %q becomes %q (%v), want %q", c.Replace, text, out, err, c.Replaced[i])
			}
		}
	}
}
