package pipeline

import (
	"slices"
	"strings"
	"testing"

	"vgid/model/hf/tokenizer/internal/oniguruma"
	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

// The hand-written splits equal the expressions run by the engine.
func TestWordSplitEqualsEngine(t *testing.T) {
	for expr, w := range knownPatterns {
		re, err := oniguruma.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		engine := regexMatcher(re)
		rapid.Check(t, func(r *rapid.T) {
			s := hftest.NastyText(r)
			if strings.Contains(s, "ſ") {
				// The engine folds by simple lower case; the goldens hold the long s.
				s = strings.ReplaceAll(s, "ſ", "s")
			}
			var want, got []string
			if err := engine(s, func(a, b int, match bool) error {
				if !match {
					r.Fatalf("%q: %q is not matched", s, s[a:b])
				}
				want = append(want, s[a:b])
				return nil
			}); err != nil {
				r.Fatal(err)
			}
			_ = w.Split(s, true, func(p string, _ bool) error { got = append(got, p); return nil })
			if !slices.Equal(got, want) {
				r.Fatalf("%q: got %q, want %q", s, got, want)
			}
		})
	}
}
