package params

import (
	"fmt"
	"strings"
)

// Module and parameter patterns: a pattern is a path or the end of one, at a
// dot; * stands for any run of characters, dots included. "q_proj" means every
// q_proj, "language_model.*.q_proj" those of the decoder.

// MatchesModule reports whether pattern is path or the end of it.
func MatchesModule(pattern, path string) bool {
	for {
		if glob(pattern, path) {
			return true
		}
		_, rest, ok := strings.Cut(path, ".")
		if !ok {
			return false
		}
		path = rest
	}
}

// matchesParam reports whether pattern names the parameter or a module that
// holds it.
func matchesParam(pattern, name string) bool {
	for {
		if MatchesModule(pattern, name) {
			return true
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return false
		}
		name = name[:dot]
	}
}

// It is tried from the left with the shortest run for each star. Patterns have few stars, so
// backtracking is cheap.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	for s = s[len(head):]; ; s = s[1:] {
		if glob(rest, s) {
			return true
		}
		if s == "" {
			return false
		}
	}
}

// selected marks which of n names the patterns match; a pattern that matches
// none is an error.
func selected(what string, patterns []string, n int, name func(int) string, match func(pattern, name string) bool) ([]bool, error) {
	hit := make([]bool, n)
	for _, p := range patterns {
		found := false
		for i := range n {
			if match(p, name(i)) {
				hit[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("pattern %q matches no %s of the model", p, what)
		}
	}
	return hit, nil
}
