package hf

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// splitter cuts one piece of text into smaller ones and passes them to yield in
// order. first tells that the piece starts the text.
type splitter func(s string, first bool, yield func(string, bool) error) error

// preTokenizer is a chain of splitters; byteLevel tells that the words then go
// to the model as raw bytes.
type preTokenizer struct {
	steps     []splitter
	byteLevel bool
}

func newPreTokenizer(raw json.RawMessage) (preTokenizer, error) {
	var p preTokenizer
	if isNull(raw) {
		return p, nil
	}
	err := p.add(raw)
	return p, err
}

func (p *preTokenizer) add(raw json.RawMessage) error {
	c, err := parseComponent(raw)
	if err != nil {
		return err
	}
	if p.byteLevel {
		// Later steps would have to split the spelling in byteRune characters.
		return fmt.Errorf("type %q after ByteLevel is not supported", c.Type)
	}
	switch c.Type {
	case "Sequence":
		for _, r := range c.PreTokenizers {
			if err := p.add(r); err != nil {
				return err
			}
		}
	case "ByteLevel":
		p.byteLevel = true
		if c.AddPrefix != nil && *c.AddPrefix {
			p.steps = append(p.steps, addPrefixSpace)
		}
		if c.UseRegex == nil || *c.UseRegex {
			p.steps = append(p.steps, gpt2Split.split)
		}
	case "Split":
		s, err := newSplit(c)
		if err != nil {
			return fmt.Errorf("Split: %w", err)
		}
		p.steps = append(p.steps, s)
	case "Digits":
		b := "Contiguous"
		if c.Individual {
			b = "Isolated"
		}
		s, err := behave(runeMatcher(unicode.IsNumber), b, false)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, s)
	case "WhitespaceSplit":
		s, err := behave(runeMatcher(unicode.IsSpace), "Removed", false)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, s)
	case "BertPreTokenizer":
		for _, m := range []struct {
			is       func(rune) bool
			behavior string
		}{{unicode.IsSpace, "Removed"}, {isPunctuation, "Isolated"}} {
			s, err := behave(runeMatcher(m.is), m.behavior, false)
			if err != nil {
				return err
			}
			p.steps = append(p.steps, s)
		}
	case "Punctuation":
		b := c.Behavior
		if b == "" {
			b = "Isolated"
		}
		s, err := behave(runeMatcher(isPunctuation), b, false)
		if err != nil {
			return fmt.Errorf("Punctuation: %w", err)
		}
		p.steps = append(p.steps, s)
	case "Whitespace":
		p.steps = append(p.steps, splitWords)
	case "CharDelimiterSplit":
		if utf8.RuneCountInString(c.Delimiter) != 1 {
			return fmt.Errorf("CharDelimiterSplit: delimiter %q is not one character", c.Delimiter)
		}
		s, err := behave(stringMatcher(c.Delimiter), "Removed", false)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, s)
	case "Metaspace":
		s, err := newMetaspace(c)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, s)
	default:
		return fmt.Errorf("type %q is not supported", c.Type)
	}
	return nil
}

// run sends the words of s through the chain.
func (p *preTokenizer) run(s string, first bool, yield func(string) error) error {
	return runSteps(p.steps, s, first, yield)
}

func runSteps(steps []splitter, s string, first bool, yield func(string) error) error {
	if s == "" {
		return nil
	}
	if len(steps) == 0 {
		return yield(s)
	}
	return steps[0](s, first, func(t string, f bool) error { return runSteps(steps[1:], t, f, yield) })
}

func addPrefixSpace(s string, first bool, yield func(string, bool) error) error {
	if !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	return yield(s, first)
}

// splitWords gives the runs of word characters and of neither those nor blanks.
func splitWords(s string, first bool, yield func(string, bool) error) error {
	class := func(r rune) int {
		switch {
		case isWord(r):
			return letter
		case unicode.IsSpace(r):
			return space
		}
		return other
	}
	start, now := 0, space
	for i, r := range s {
		c := class(r)
		if c == now {
			continue
		}
		if now != space {
			if err := yield(s[start:i], first && start == 0); err != nil {
				return err
			}
		}
		start, now = i, c
	}
	if now != space {
		return yield(s[start:], first && start == 0)
	}
	return nil
}

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
		m, err := re.FindRunesMatch(runes)
		for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
			if m.Length == 0 {
				continue
			}
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

// compileRegex compiles a tokenizer.json expression, which is of the Oniguruma
// dialect; RE2 lacks the look-ahead these use.
func compileRegex(expr string) (*regexp2.Regexp, error) {
	re, err := regexp2.Compile(expr, regexp2.Unicode)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	return re, nil
}

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
		return w.split, nil // these patterns match everything: matches are the words
	}
	re, err := compileRegex(*c.Pattern.Regex)
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

// prependMode is Metaspace's prepend_scheme, which older files call add_prefix_space.
func (c *component) prependMode() string {
	switch {
	case c.PrependMode != "":
		return c.PrependMode
	case c.AddPrefix != nil && !*c.AddPrefix:
		return "never"
	}
	return "always"
}

// newMetaspace writes spaces as the replacement character and splits before it.
func newMetaspace(c component) (splitter, error) {
	rep := c.Replacement
	if utf8.RuneCountInString(rep) != 1 {
		return nil, fmt.Errorf("Metaspace: replacement %q is not one character", rep)
	}
	mode := c.prependMode()
	if mode != "always" && mode != "first" && mode != "never" {
		return nil, fmt.Errorf("Metaspace: prepend_scheme %q is not supported", mode)
	}
	cut, err := behave(stringMatcher(rep), "MergedWithNext", false)
	if err != nil {
		return nil, err
	}
	whole := c.MetaSplit != nil && !*c.MetaSplit
	return func(s string, first bool, yield func(string, bool) error) error {
		s = strings.ReplaceAll(s, " ", rep)
		if !strings.HasPrefix(s, rep) && (mode == "always" || mode == "first" && first) {
			s = rep + s
		}
		if whole {
			return yield(s, first)
		}
		return cut(s, first, yield)
	}, nil
}
