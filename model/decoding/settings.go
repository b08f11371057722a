package decoding

import (
	"fmt"
	"math"
	"slices"
)

// Settings are the fields of generation_config.json that change logits. The
// zero value changes none.
type Settings struct {
	SequenceBias             []Bias
	EncoderRepetitionPenalty float32 // of tokens outside the prompt, above 1; 0 or 1: none
	RepetitionPenalty        float32 // of tokens that stand in prompt or answer; 0 or 1: none
	NoRepeatNGram            int     // no n tokens stand twice in prompt and answer; 0: off
	EncoderNoRepeatNGram     int     // no n tokens of the prompt stand in the answer; 0: off
	BadWords                 [][]int32
	MinLength                int // tokens of prompt and answer before an end token
	MinNew                   int // tokens of the answer before an end token
	ForcedBOS                *int32
	ForcedEOS                []int32 // the last token that MaxNew allows is one of these
	RemoveInvalid            bool    // NaN becomes 0, an infinity the largest number
	Decay                    *Decay
	Suppress                 []int32 // never said
	BeginSuppress            []int32 // never said first
}

// Bias is added to the logit of the last of Tokens where the others precede it.
type Bias struct {
	Tokens []int32
	Add    float32
}

// Decay makes end tokens likelier by Factor for each token after Start new ones.
// Factor is of the logit's own size and compounds: after n tokens beyond Start it is Factorⁿ.
type Decay struct {
	Start  int
	Factor float64
}

// Text is what stands when a token is chosen.
type Text struct {
	Prompt, Answer []int32
	Ends           []int32 // end tokens
	MaxNew         int     // most tokens of the answer, the end token included
}

// at is token i of prompt and answer.
func (t *Text) at(i int) int32 {
	if i < len(t.Prompt) {
		return t.Prompt[i]
	}
	return t.Answer[i-len(t.Prompt)]
}

func (t *Text) len() int { return len(t.Prompt) + len(t.Answer) }

// Active reports whether the settings can change a logit.
func (s *Settings) Active() bool {
	return len(s.SequenceBias) > 0 || penalises(s.EncoderRepetitionPenalty) || penalises(s.RepetitionPenalty) ||
		s.NoRepeatNGram > 0 || s.EncoderNoRepeatNGram > 0 || len(s.BadWords) > 0 || s.MinLength > 0 || s.MinNew > 0 ||
		s.ForcedBOS != nil || len(s.ForcedEOS) > 0 || s.RemoveInvalid || s.Decay != nil ||
		len(s.Suppress) > 0 || len(s.BeginSuppress) > 0
}

// penalises reports whether a penalty changes anything; 0 stands for a file without it.
func penalises(p float32) bool { return p != 0 && p != 1 }

// Validate checks the settings for a vocabulary of so many tokens.
func (s *Settings) Validate(vocab int) error {
	for _, p := range []struct {
		name  string
		value float32
	}{{"repetition_penalty", s.RepetitionPenalty}, {"encoder_repetition_penalty", s.EncoderRepetitionPenalty}} {
		if !(p.value >= 0) || math.IsInf(float64(p.value), 1) {
			return fmt.Errorf("%s %g must be positive", p.name, p.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"no_repeat_ngram_size", s.NoRepeatNGram}, {"encoder_no_repeat_ngram_size", s.EncoderNoRepeatNGram},
		{"min_length", s.MinLength}, {"min_new_tokens", s.MinNew},
	} {
		if n.value < 0 {
			return fmt.Errorf("%s %d must not be negative", n.name, n.value)
		}
	}
	for _, b := range s.SequenceBias {
		if err := inVocabulary("sequence_bias", b.Tokens, vocab); err != nil {
			return err
		}
		if b.Add != b.Add {
			return fmt.Errorf("sequence_bias of %v is not a number", b.Tokens)
		}
	}
	for _, w := range s.BadWords {
		if err := inVocabulary("bad_words_ids", w, vocab); err != nil {
			return err
		}
	}
	if s.ForcedBOS != nil {
		if err := inVocabulary("forced_bos_token_id", []int32{*s.ForcedBOS}, vocab); err != nil {
			return err
		}
	}
	if len(s.ForcedEOS) > 0 {
		if err := inVocabulary("forced_eos_token_id", s.ForcedEOS, vocab); err != nil {
			return err
		}
	}
	return s.forcedAndSuppressed()
}

// forcedAndSuppressed refuses a step that would leave no token.
func (s *Settings) forcedAndSuppressed() error {
	suppressed := func(id int32) bool { return slices.Contains(s.Suppress, id) }
	left := slices.ContainsFunc(s.ForcedEOS, func(id int32) bool { return !suppressed(id) })
	switch {
	case s.ForcedBOS != nil && suppressed(*s.ForcedBOS):
		return fmt.Errorf("forced_bos_token_id %d is also in suppress_tokens", *s.ForcedBOS)
	case len(s.ForcedEOS) > 0 && !left:
		return fmt.Errorf("every token of forced_eos_token_id %v is also in suppress_tokens", s.ForcedEOS)
	}
	return nil
}

// inVocabulary checks tokens of a field.
func inVocabulary(name string, ids []int32, vocab int) error {
	if len(ids) == 0 {
		return fmt.Errorf("%s has a sequence of no tokens", name)
	}
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= vocab }); i >= 0 {
		return fmt.Errorf("%s: token %d is not in the vocabulary of %d tokens", name, ids[i], vocab)
	}
	return nil
}
