package metric

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/eval/dataset"
	"vgid/model/kit/plaintext"
)

// TestGoldenMetrics compares with rouge-score and NLTK on the pairs that
// testdata/rouge_golden.py wrote; VGID_ROUGE_GOLDEN names a larger file of it.
func TestGoldenMetrics(t *testing.T) {
	path := os.Getenv("VGID_ROUGE_GOLDEN")
	if path == "" {
		path = "testdata/rouge_golden.jsonl"
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pairs := 0
	var worst float64
	err = plaintext.EachLine(f, func(n int, line []byte) error {
		var g struct {
			Reference, Prediction string
			Scores                []float64
		}
		if err := json.Unmarshal(line, &g); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r := Rouge(g.Reference, g.Prediction)
		got := []float64{r.R1.P, r.R1.R, r.R1.F, r.R2.P, r.R2.R, r.R2.F, r.RL.P, r.RL.R, r.RL.F, Bleu(g.Reference, g.Prediction)}
		if len(g.Scores) != len(got) {
			return fmt.Errorf("line %d: %d scores", n, len(g.Scores))
		}
		for i := range got {
			d := math.Abs(got[i] - g.Scores[i])
			worst = max(worst, d)
			if !(d <= 1e-9) {
				t.Errorf("line %d, score %d: %v, want %v\n%q\n%q", n, i, got[i], g.Scores[i], g.Reference, g.Prediction)
			}
		}
		pairs++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pairs < 300 {
		t.Fatalf("only %d golden pairs", pairs)
	}
	t.Logf("%d pairs, largest difference %.2g", pairs, worst)
}

// TestGoldenStems compares with NLTK's stemmer; VGID_STEM_GOLDEN names a larger
// file of testdata/rouge_golden.py --stems.
func TestGoldenStems(t *testing.T) {
	path := os.Getenv("VGID_STEM_GOLDEN")
	if path == "" {
		path = "testdata/porter_golden.txt"
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	if len(f) < 800 || len(f)%2 != 0 {
		t.Fatalf("%d words in %s", len(f), path)
	}
	for i := 0; i < len(f); i += 2 {
		if got := Stem(f[i]); got != f[i+1] {
			t.Errorf("Stem(%q) = %q, want %q", f[i], got, f[i+1])
		}
	}
	t.Logf("%d words", len(f)/2)
}

func TestMetricProperties(t *testing.T) {
	word := rapid.OneOf(rapid.StringMatching(`[a-z]{1,9}(ing|ed|ies|ational)?`), rapid.String())
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 0, 12).Draw(t, "words"), " ") })
	rapid.Check(t, func(t *rapid.T) {
		x, y := text.Draw(t, "x"), text.Draw(t, "y")
		r, back := Rouge(x, y), Rouge(y, x)
		for name, p := range map[string][2]PRF{"1": {r.R1, back.R1}, "2": {r.R2, back.R2}, "L": {r.RL, back.RL}} {
			for _, v := range []float64{p[0].F, p[0].P, p[0].R} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("ROUGE-%s of %q and %q: %+v", name, x, y, p[0])
				}
			}
			if p[0].P != p[1].R || p[0].R != p[1].P || p[0].F != p[1].F {
				t.Fatalf("ROUGE-%s is not symmetric: %+v %+v", name, p[0], p[1])
			}
		}
		if b := Bleu(x, y); !(b >= 0 && b <= 1) {
			t.Fatalf("BLEU %v", b)
		}
		if same := Rouge(x, x); len(rougeTokens(x)) > 0 && (same.R1.F != 1 || same.RL.F != 1) {
			t.Fatalf("ROUGE of a text with itself: %+v", same)
		}
		if r.RL.F > r.R1.F+1e-12 {
			t.Fatalf("a subsequence longer than the common words: %+v", r)
		}
		if !ClozeHit(x, y+x+y) && Lower(x) == strings.ToLower(x) {
			t.Fatalf("%q is not found in %q", x, y+x+y)
		}
	})
}

var four = []dataset.Option{{Letter: "A", Text: "Baker"}, {Letter: "B", Text: "New York"}, {Letter: "C", Text: "York"}, {Letter: "D", Text: "dog walker"}}

func TestReadingOfChoices(t *testing.T) {
	for _, c := range []struct{ said, letter, option string }{
		{"", "", ""},
		{"  b", "B", ""},
		{"C. York", "C", "C"},
		{"baker: B", "B", "A"},
		{"It is New York.", "", "B"},
		{"York, not New York", "", "C"},
		{"a Dog-Walker!", "A", "D"},
		{"bakery", "B", ""},
		{"Eve", "", ""},
		{"\u00e9", "", ""},
	} {
		if got := Letter(c.said, four); got != c.letter {
			t.Errorf("Letter(%q) = %q, want %q", c.said, got, c.letter)
		}
		if got := NamedOption(c.said, four); got != c.option {
			t.Errorf("NamedOption(%q) = %q, want %q", c.said, got, c.option)
		}
	}
	for _, c := range []struct {
		p    []float64
		want string
	}{{[]float64{-3, -1, -2, -9}, "B"}, {[]float64{-1, -1, -2, -9}, "A"}, {[]float64{-1}, ""}, {nil, ""}} {
		if got := Likeliest(c.p, four); got != c.want {
			t.Errorf("Likeliest(%v) = %q, want %q", c.p, got, c.want)
		}
	}
}

func TestLower(t *testing.T) {
	for in, want := range map[string]string{"İSTANBUL": "i\u0307stanbul", "ΟΔΟΣ ΣΑΣ'": "οδος σας'", "Σ": "σ", "ΑΣ̈ Β": "ας̈ β", "ΑΣ.Β": "ασ.β"} {
		if got := Lower(in); got != want {
			t.Errorf("Lower(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("The quick İ brown\x1c北京 foxes' yyyyed")
	f.Fuzz(func(t *testing.T, s string) {
		for _, tok := range rougeTokens(s) {
			if tok == "" || strings.Trim(tok, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
				t.Fatalf("token %q of %q", tok, s)
			}
		}
	})
}
