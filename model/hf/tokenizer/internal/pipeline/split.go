package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/oniguruma"

	"github.com/dlclark/regexp2"
)

// matcher lists consecutive ranges that cover s: matches and what lies between.
// Every byte of s is in one range, in order; no range is empty but a match of nothing.
// start and end are in bytes. visit's error ends the listing.
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
// Matches do not overlap: the search goes on behind each.
// Overlapping ones are found from the left, as in the reference.
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
// The engine (regexp2) has look-ahead, which these expressions need and Go's own does not have.
func regexMatcher(re *regexp2.Regexp) matcher {
	return func(s string, visit func(int, int, bool) error) error {
		// Encode has replaced what is not UTF-8, so that runes and bytes can be counted against
		// each other.
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
// The names are SplitDelimiterBehavior's in the reference. invert calls matches what lies between
// them.
// Isolated makes a piece of each match, Contiguous of matches in a row; MergedWithPrevious and
// MergedWithNext join a match to its neighbour on that side.
func behave(find matcher, behavior string, invert bool) (splitter, error) {
	switch behavior {
	case "Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext":
	default:
		return nil, fmt.Errorf("behavior %q is not supported", behavior)
	}
	return func(s string, first bool, yield func(string, bool) error) error {
		p := pieces{behavior: behavior, invert: invert, s: s, first: first, yield: yield}
		if err := find(s, p.add); err != nil {
			return err
		}
		return p.emit(len(s))
	}, nil
}

// pieces joins the ranges of a text to pieces, one at a time.
type pieces struct {
	behavior string
	invert   bool
	s        string
	first    bool // s starts the text
	yield    func(string, bool) error

	start     int  // of the piece being built
	pending   bool // there is one
	prevMatch bool // its last range was a match
}

// add takes the next range.
// Only Removed drops anything; under the others the pieces put together are the text.
func (p *pieces) add(a, b int, match bool) error {
	match = match != p.invert
	if !p.pending || !p.joins(match) {
		if err := p.emit(a); err != nil {
			return err
		}
		p.start = a
		p.pending = p.behavior != "Removed" || !match
	}
	p.prevMatch = match
	// What is kept under Removed never joins: the match between two pieces is their border.
	if p.behavior == "Removed" && p.pending {
		return p.emit(b)
	}
	return nil
}

// joins reports whether a range belongs to the piece that is being built.
func (p *pieces) joins(match bool) bool {
	switch p.behavior {
	case "Contiguous":
		return match == p.prevMatch
	case "MergedWithPrevious":
		return match && !p.prevMatch
	case "MergedWithNext":
		return !match && p.prevMatch
	}
	return false
}

// emit ends the piece being built, if there is one.
func (p *pieces) emit(end int) error {
	if !p.pending {
		return nil
	}
	p.pending = false
	return p.yield(p.s[p.start:end], p.first && p.start == 0)
}
