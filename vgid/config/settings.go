package config

import (
	"fmt"
	"strings"
)

// Settings are what workers, and a checkpoint and the run that goes on from it,
// have to have in common, a line each.
// The text is compared and shown, never parsed.
func (c Config) Settings() string { return strings.Join(c.Shared().Lines(), "\n") }

// FirstDifference gives the first lines that differ of two Settings that do.
func FirstDifference(a, b string) (string, string) {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return la[i], lb[i]
		}
	}
	return fmt.Sprintf("%d settings", len(la)), fmt.Sprintf("%d", len(lb)) // programs of two versions
}

// Changed words the first setting that is not as it was, as the end of a
// sentence; nothing where that is not known.
func Changed(was, now string) string {
	if was == "" || was == now {
		return ""
	}
	a, b := FirstDifference(was, now)
	return fmt.Sprintf(" (%s, now %s)", a, b)
}
