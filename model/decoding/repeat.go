package decoding

import "slices"

// repetition makes the tokens that stand in prompt or answer less likely, each
// once.
func (p *Processor) repetition(logits []float32, t *Text) {
	if penalises(p.RepetitionPenalty) {
		p.penalise(logits, p.RepetitionPenalty, t.Prompt, t.Answer)
	}
}

// encoderRepetition is for encoder-decoder models, but transformers takes the
// prompt of others for the encoder's text: its tokens become likelier.
func (p *Processor) encoderRepetition(logits []float32, t *Text) {
	if penalises(p.EncoderRepetitionPenalty) {
		p.penalise(logits, float32(1/float64(p.EncoderRepetitionPenalty)), t.Prompt)
	}
}

// penalise divides positive logits and multiplies negative ones, so that both become
// smaller (arXiv 1909.05858, and RepetitionPenaltyLogitsProcessor), once a token however
// often it stands there.
func (p *Processor) penalise(logits []float32, penalty float32, said ...[]int32) {
	p.seen = slices.Grow(p.seen[:0], len(logits))[:len(logits)]
	for _, ids := range said {
		for _, id := range ids {
			if int(id) >= len(logits) || p.seen[id] {
				continue
			}
			p.seen[id] = true
			if logits[id] < 0 {
				logits[id] *= penalty
			} else {
				logits[id] /= penalty
			}
		}
	}
	clear(p.seen)
}

// noRepeat bans what would say n tokens twice.
func (p *Processor) noRepeat(logits []float32, t *Text) {
	if n := p.NoRepeatNGram; n > 0 {
		banCompletions(logits, t, n, t.len())
	}
}

// encoderNoRepeat, too, takes the prompt for the encoder's text.
func (p *Processor) encoderNoRepeat(logits []float32, t *Text) {
	if n := p.EncoderNoRepeatNGram; n > 0 {
		banCompletions(logits, t, n, len(t.Prompt))
	}
}

// banCompletions bans the tokens that would make the last n tokens equal to n
// tokens of the first within.
// Tokens of the tail may themselves lie in the text that is searched, as those of an answer that
// repeats itself do.
func banCompletions(logits []float32, t *Text, n, within int) {
	tail := t.len() + 1 - n
	if tail < 0 {
		return
	}
next:
	for from := 0; from+n <= within; from++ {
		for i := range n - 1 {
			if t.at(from+i) != t.at(tail+i) {
				continue next
			}
		}
		ban(logits, []int32{t.at(from + n - 1)})
	}
}
