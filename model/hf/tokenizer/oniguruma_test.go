package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"

	"vgid/model/hf/hftest"
)

// Regular expressions mean what they mean to the reference's engine
// (testdata/make_regex.py).
func TestRegexAsReference(t *testing.T) {
	sameUnicode(t)
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
		pre, err := newPreTokenizer(c.Split)
		if err != nil {
			t.Fatal(err)
		}
		replace, err := newNormalizer(c.Replace)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range gold.Texts {
			var got []string
			if err := pre.run(text, true, func(p string) error { got = append(got, p); return nil }); err != nil {
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

func TestRegexRefused(t *testing.T) {
	for expr, want := range map[string]string{
		`[a`:           `regular expression "[a": a [ is not closed`,
		`[[:graph:]]`:  `regular expression "[[:graph:]]": [:graph:] is not supported`,
		`\p{Emoji}+`:   `regular expression "\\p{Emoji}+": unknown unicode category, script, or property 'Emoji'`,
		`[a\p]`:        `regular expression "[a\\p]": \p without {name}`,
		`(?=\p{L}++)a`: "",
	} {
		_, err := compileRegex(expr)
		if err == nil {
			t.Fatalf("%q was taken", expr)
		}
		if want != "" && err.Error() != want {
			t.Errorf("%q: %v, want %s", expr, err, want)
		}
	}
}

// A score is rounded as the reference's JSON reader rounds it, which decides
// between ways to cut a word that score the same.
func TestSerdeFloat(t *testing.T) {
	for in, want := range map[string]float64{
		"-0.43561181362301915": -0.4356118136230191, "-12.563669634938593": -12.563669634938591, // as tokenizers reads them
		"0": 0, "-3": -3, "-1.5": -1.5, "2e3": 2000, "12345678901234567890123.5": 12345678901234567000000,
		"1e-400": 0, "0.25E1": 2.5,
	} {
		if got, err := serdeFloat(in); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
}
