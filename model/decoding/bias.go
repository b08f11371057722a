package decoding

import "slices"

// sequenceBias adds the biases of the file.
func (p *Processor) sequenceBias(logits []float32, t *Text) { p.addBiases(logits, t, p.SequenceBias) }

// badWords bans sequences, but not an end token alone.
func (p *Processor) badWords(logits []float32, t *Text) {
	for _, w := range p.BadWords {
		last := len(w) - 1
		if last == 0 && slices.Contains(t.Ends, w[0]) || !follows(t, w[:last]) {
			continue
		}
		ban(logits, w[last:])
	}
}

// addBiases adds to every logit the sum of its biases, single tokens first and
// then longer sequences.
func (p *Processor) addBiases(logits []float32, t *Text, biases []Bias) {
	if len(biases) == 0 {
		return
	}
	p.bias = slices.Grow(p.bias[:0], len(logits))[:len(logits)]
	// The order is transformers': a sum of floats depends on it.
	for _, single := range []bool{true, false} {
		for i, b := range biases {
			last := len(b.Tokens) - 1
			// A sequence that comes again replaces the earlier one.
			again := slices.ContainsFunc(biases[i+1:], func(o Bias) bool { return slices.Equal(o.Tokens, b.Tokens) })
			if single == (last == 0) && !again && follows(t, b.Tokens[:last]) {
				p.bias[b.Tokens[last]] += b.Add
			}
		}
	}
	for i, b := range p.bias {
		logits[i] += b
	}
	clear(p.bias)
}

// follows reports whether prompt and answer end in ids.
func follows(t *Text, ids []int32) bool {
	from := t.len() - len(ids)
	if from < 0 {
		return false
	}
	for i, id := range ids {
		if t.at(from+i) != id {
			return false
		}
	}
	return true
}
