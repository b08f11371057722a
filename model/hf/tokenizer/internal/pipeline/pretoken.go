package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
	"vgid/model/kit/plainjson"
)

// splitter cuts one piece of text into smaller ones and passes them to yield in
// order. first tells that the piece starts the text.
type splitter func(s string, first bool, yield func(string, bool) error) error

// PreTokenizer is a chain of splitters; ByteLevel tells that the words then go
// to the model as raw bytes.
type PreTokenizer struct {
	steps     []splitter
	ByteLevel bool
}

func NewPreTokenizer(raw json.RawMessage) (PreTokenizer, error) {
	var p PreTokenizer
	if plainjson.IsNull(raw) {
		return p, nil
	}
	err := p.add(raw)
	return p, err
}

func (p *PreTokenizer) add(raw json.RawMessage) error {
	c, err := parseComponent(raw)
	if err != nil {
		return err
	}
	if p.ByteLevel {
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
		p.ByteLevel = true
		if c.AddPrefix != nil && *c.AddPrefix {
			p.steps = append(p.steps, addPrefixSpace)
		}
		if c.UseRegex == nil || *c.UseRegex {
			p.steps = append(p.steps, GPT2Split.Split)
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
		s, err := behave(runeMatcher(chars.IsDigit), b, false)
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

// Run sends the words of s through the chain.
func (p *PreTokenizer) Run(s string, first bool, yield func(string) error) error {
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
		case chars.IsWord(r):
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
