package oniguruma

import "testing"

func TestRegexRefused(t *testing.T) {
	for expr, want := range map[string]string{
		`[a`:           `regular expression "[a": a [ is not closed`,
		`[[:graph:]]`:  `regular expression "[[:graph:]]": [:graph:] is not supported`,
		`\p{Emoji}+`:   `regular expression "\\p{Emoji}+": unknown unicode category, script, or property 'Emoji'`,
		`[a\p]`:        `regular expression "[a\\p]": \p without {name}`,
		`(?=\p{L}++)a`: "",
	} {
		_, err := Compile(expr)
		if err == nil {
			t.Fatalf("%q was taken", expr)
		}
		if want != "" && err.Error() != want {
			t.Errorf("%q: %v, want %s", expr, err, want)
		}
	}
}
