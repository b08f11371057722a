package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/oniguruma"

	"github.com/dlclark/regexp2"
)

// matcher lists consecutive ranges that cover s: matches and what lies between.
type matcher func(s string, visit func(start, end int, match bool) error) error

// runeMatcher matches every single character of a class.
func runeMatcher(is func(rune) bool) matcher {
	return func(s string, visit func(int, int, bool) error) error {
		at := 0
		for i, r := range s {
			if !is(r) {
				continue
			}
			if at < i {
				if err := visit(at, i, false); err != nil {
					return err
				}
			}
			at = i + utf8.RuneLen(r)
			if err := visit(i, at, true); err != nil {
				return err
			}
		}
		if at < len(s) {
			return visit(at, len(s), false)
		}
		return nil
	}
}

// stringMatcher matches a text that is not empty.
func stringMatcher(pat string) matcher {
	return func(s string, visit func(int, int, bool) error) error {
		at := 0
		for {
			i := strings.Index(s[at:], pat)
			if i < 0 {
				break
			}
			if i > 0 {
				if err := visit(at, at+i, false); err != nil {
					return err
				}
			}
			if err := visit(at+i, at+i+len(pat), true); err != nil {
				return err
			}
			at += i + len(pat)
		}
		if at < len(s) {
			return visit(at, len(s), false)
		}
		return nil
	}
}

// regexMatcher matches an expression. The engine counts characters, pieces are bytes.
func regexMatcher(re *regexp2.Regexp) matcher {
	return func(s string, visit func(int, int, bool) error) error {
		runes := []rune(s)
		at, byteAt := 0, 0 // end of the last range, in runes and in bytes
		step := func(to int, match bool) error {
			from := byteAt
			for ; at < to; at++ {
				byteAt += utf8.RuneLen(runes[at])
			}
			return visit(from, byteAt, match)
		}
		last := -1 // end of the last match
		m, err := re.FindRunesMatch(runes)
		for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
			// A match of nothing, as of a look-ahead, cuts the text; there is
			// none right behind another match.
			if m.Length == 0 && m.Index == last {
				continue
			}
			last = m.Index + m.Length
			if m.Index > at {
				if err := step(m.Index, false); err != nil {
					return err
				}
			}
			if err := step(m.Index+m.Length, true); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if at < len(runes) {
			return step(len(runes), false)
		}
		return nil
	}
}

// newSplit reads the component Split, with the expressions of well-known tokenizers
// done by hand.
func newSplit(c component) (splitter, error) {
	if c.Pattern.String != nil {
		if *c.Pattern.String == "" {
			return nil, fmt.Errorf("the pattern is empty")
		}
		return behave(stringMatcher(*c.Pattern.String), c.Behavior, c.Invert)
	}
	if c.Pattern.Regex == nil {
		return nil, fmt.Errorf("pattern is neither String nor Regex")
	}
	if w, ok := knownPatterns[*c.Pattern.Regex]; ok && (c.Behavior == "Isolated" && !c.Invert || c.Behavior == "Removed" && c.Invert) {
		return w.Split, nil // these patterns match everything: matches are the words
	}
	re, err := oniguruma.Compile(*c.Pattern.Regex)
	if err != nil {
		return nil, err
	}
	return behave(regexMatcher(re), c.Behavior, c.Invert)
}

// behave turns matches into pieces in one of the five ways of tokenizer.json.
func behave(find matcher, behavior string, invert bool) (splitter, error) {
	switch behavior {
	case "Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext":
	default:
		return nil, fmt.Errorf("behavior %q is not supported", behavior)
	}
	return func(s string, first bool, yield func(string, bool) error) error {
		start := 0 // of the piece being built
		pending, prevMatch := false, false
		emit := func(end int) error {
			if !pending {
				return nil
			}
			pending = false
			return yield(s[start:end], first && start == 0)
		}
		err := find(s, func(a, b int, match bool) error {
			match = match != invert
			// Whether this range belongs to the piece that is being built.
			join := false
			switch behavior {
			case "Contiguous":
				join = match == prevMatch
			case "MergedWithPrevious":
				join = match && !prevMatch
			case "MergedWithNext":
				join = !match && prevMatch
			}
			if !join || !pending {
				if err := emit(a); err != nil {
					return err
				}
				start = a
				pending = behavior != "Removed" || !match
			}
			prevMatch = match
			if behavior == "Removed" && pending {
				return emit(b)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return emit(len(s))
	}, nil
}
