package pipeline

import (
	"encoding/json"
	"fmt"

	"vgid/model/kit/plainjson"
)

// Template is what a post-processor puts before and after one sequence.
// Ids only: the texts of these tokens are in the vocabulary. It is read once, when a tokenizer is
// loaded.
type Template struct{ Before, After []int32 }

// Wrap puts the tokens of a component around those that are there: of a sequence the
// first is the innermost.
func (t *Template) Wrap(raw json.RawMessage) error {
	if plainjson.IsNull(raw) {
		return nil
	}
	c, err := parseComponent(raw)
	if err != nil {
		return err
	}
	switch c.Type {
	case "ByteLevel": // moves offsets only
		return nil
	case "Sequence":
		for _, r := range c.Processors {
			if err := t.Wrap(r); err != nil {
				return err
			}
		}
		return nil
	case "TemplateProcessing":
		return t.addTemplate(c)
	case "BertProcessing", "RobertaProcessing":
		cls, err := tokenPair(c.Cls)
		if err != nil {
			return fmt.Errorf("cls: %w", err)
		}
		sep, err := tokenPair(c.Sep)
		if err != nil {
			return fmt.Errorf("sep: %w", err)
		}
		// Their names alone are BERT's: [CLS] and [SEP], or <s> and </s>. What else they do is for
		// offsets and pairs.
		t.Before = append([]int32{cls}, t.Before...)
		t.After = append(t.After, sep)
		return nil
	}
	return fmt.Errorf("type %q is not supported", c.Type)
}

// addTemplate reads the template for one text; that for pairs is for other models.
// A special token may stand for several ids.
func (t *Template) addTemplate(c component) error {
	var before, after []int32
	seen := false
	for _, p := range c.Single {
		switch {
		case p.Sequence != nil:
			if seen || p.Sequence.ID != "A" {
				return fmt.Errorf("TemplateProcessing: single must hold sequence A once")
			}
			seen = true
		case p.Special != nil:
			s, ok := c.SpecialToken[p.Special.ID]
			if !ok {
				return fmt.Errorf("TemplateProcessing: special token %q is not in special_tokens", p.Special.ID)
			}
			if seen {
				after = append(after, s.IDs...)
			} else {
				before = append(before, s.IDs...)
			}
		}
	}
	if !seen {
		return fmt.Errorf("TemplateProcessing: single does not hold sequence A")
	}
	t.Before = append(before, t.Before...)
	t.After = append(t.After, after...)
	return nil
}

// tokenPair reads ["token", id].
// The id alone is used.
func tokenPair(raw json.RawMessage) (int32, error) {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return 0, fmt.Errorf("expected [token, id]")
	}
	var id int32
	err := json.Unmarshal(pair[1], &id)
	return id, err
}
