package pipeline

import (
	"cmp"
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
// Pieces are passed on as they are found, not listed. An error of yield ends the work and is returned.
// Empty pieces are dropped by runSteps; what is passed on need not be part of s, as a space put in
// front is not.
type splitter func(s string, first bool, yield func(string, bool) error) error

// PreTokenizer is a chain of splitters; ByteLevel tells that the words then go
// to the model as raw bytes.
//
// A chain without steps passes a text on whole.
// Steps keep nothing between texts.
type PreTokenizer struct {
	steps     []splitter
	ByteLevel bool
}

// NewPreTokenizer makes the pre-tokenizer of tokenizer.json. Without one a whole text is
// one word to the model.
func NewPreTokenizer(raw json.RawMessage) (PreTokenizer, error) {
	var p PreTokenizer
	if plainjson.IsNull(raw) {
		return p, nil
	}
	err := p.add(raw)
	return p, err
}

// add puts the steps of one component behind those that are there.
func (p *PreTokenizer) add(raw json.RawMessage) error {
	c, err := parseComponent(raw)
	if err != nil {
		return err
	}
	if p.ByteLevel {
		// Later steps would have to split the spelling in byteRune characters.
		return fmt.Errorf("type %q after ByteLevel is not supported", c.Type)
	}
	if c.Type == "Sequence" {
		for _, r := range c.PreTokenizers {
			if err := p.add(r); err != nil {
				return err
			}
		}
		return nil
	}
	steps, err := newSteps(c)
	p.steps = append(p.steps, steps...)
	// The spelling itself is left to the model, which has a table of bytes for it.
	p.ByteLevel = c.Type == "ByteLevel"
	return err
}

// newSteps makes a component's steps. Defaults of fields that a file leaves out are
// those of the reference's deserialisers.
func newSteps(c component) ([]splitter, error) {
	switch c.Type {
	case "ByteLevel":
		return byteLevelSteps(c), nil
	case "Split":
		s, err := newSplit(c)
		return named("Split", s, err)
	// Of digits that stand together one piece, or one each with individual_digits.
	case "Digits":
		if c.Individual {
			return classSteps(chars.IsDigit, "Isolated")
		}
		return classSteps(chars.IsDigit, "Contiguous")
	case "WhitespaceSplit":
		return classSteps(unicode.IsSpace, "Removed")
	// Two steps do what the reference does in two splits: blanks go, signs stand alone.
	case "BertPreTokenizer":
		blanks, err := behave(runeMatcher(unicode.IsSpace), "Removed", false)
		if err != nil {
			return nil, err
		}
		signs, err := behave(runeMatcher(isPunctuation), "Isolated", false)
		return []splitter{blanks, signs}, err
	case "Punctuation":
		s, err := behave(runeMatcher(isPunctuation), cmp.Or(c.Behavior, "Isolated"), false)
		return named("Punctuation", s, err)
	case "Whitespace":
		return []splitter{splitWords}, nil
	case "CharDelimiterSplit":
		if utf8.RuneCountInString(c.Delimiter) != 1 {
			return nil, fmt.Errorf("CharDelimiterSplit: delimiter %q is not one character", c.Delimiter)
		}
		s, err := behave(stringMatcher(c.Delimiter), "Removed", false)
		return []splitter{s}, err
	case "Metaspace":
		s, err := newMetaspace(c)
		return []splitter{s}, err
	}
	return nil, fmt.Errorf("type %q is not supported", c.Type)
}

// byteLevelSteps are the prefix and GPT-2's expression, each unless it is turned off;
// the expression is on where a file does not say.
func byteLevelSteps(c component) (steps []splitter) {
	if c.AddPrefix != nil && *c.AddPrefix {
		steps = append(steps, addPrefixSpace)
	}
	if c.UseRegex == nil || *c.UseRegex {
		steps = append(steps, GPT2Split.Split)
	}
	return steps
}

// classSteps cut at the characters of a class.
func classSteps(is func(rune) bool, behavior string) ([]splitter, error) {
	s, err := behave(runeMatcher(is), behavior, false)
	return []splitter{s}, err
}

// named puts the component's type in front of an error.
func named(component string, s splitter, err error) ([]splitter, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", component, err)
	}
	return []splitter{s}, nil
}

// Run sends the words of s through the chain.
// first says whether s starts the whole text, or follows an added token that was cut out before.
// A word is part of s or made for it; the caller may keep it.
func (p *PreTokenizer) Run(s string, first bool, yield func(string) error) error {
	return runSteps(p.steps, s, first, yield)
}

// runSteps gives s to the first step, and each of its pieces to those behind it.
// Depth first, so that words come in the order of the text without lists in between.
func runSteps(steps []splitter, s string, first bool, yield func(string) error) error {
	if s == "" {
		return nil
	}
	if len(steps) == 0 {
		return yield(s)
	}
	return steps[0](s, first, func(t string, f bool) error { return runSteps(steps[1:], t, f, yield) })
}

// addPrefixSpace makes the first word of a text one like the others, which carry the
// space before them.
func addPrefixSpace(s string, first bool, yield func(string, bool) error) error {
	if !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	return yield(s, first)
}

// splitWords gives the runs of word characters and of neither those nor blanks: the
// reference's \w+|[^\w\s]+.
// By classes of characters and not by the engine: the expression is a run of one class or the
// other.
// Of the three classes only blanks end a word without beginning one.
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

// newMetaspace writes spaces as the replacement character and splits before it. Of
// the schemes, "first" means the start of the text only, where "always" means that of
// each piece between added tokens as well.
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
	// split is true where a file does not say.
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
