package prompts

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What fills templates is as strings.Replacer does it, without making one for
// every prompt.
func TestFill(t *testing.T) {
	piece := rapid.SampledFrom([]string{"{name}", "{na", "me}", "{", "}", "{}", "{job}", "Ada", "{other}", "ж", ""})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "") })
	rapid.Check(t, func(t *rapid.T) {
		template, name, job := text.Draw(t, "template"), text.Draw(t, "name"), text.Draw(t, "job")
		want := strings.NewReplacer("{name}", name, "{job}", job).Replace(template)
		if got := Fill(template, "{name}", name, "{job}", job); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
