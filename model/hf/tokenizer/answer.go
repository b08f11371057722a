package tokenizer

import "strings"

// EncodeAnswered encodes a prompt and its answer as one text, with the
// post-processor's tokens around both, and gives the index of the first token
// that is the answer's: the first that holds a character of it. That is what
// char_to_token of transformers finds, and with it the mask of assistant tokens
// of its chat templates. The tokens before it are mostly those of the prompt
// alone; where prompt and answer share one, it counts as the answer's.
//
// An answer that is encoded on its own gets tokens that the text does not have:
// a normalizer that puts a mark in front of every text puts one into its middle.
func (t *Tokenizer) EncodeAnswered(prompt, answer string) (ids []int32, first int) {
	ids = t.Encode(prompt+answer, true)
	// end is where the answer ends: first is never beyond it.
	end := len(ids) - len(t.post.After)
	if answer == "" {
		return ids, end
	}
	alone := t.Encode(prompt, true)
	alone = alone[:len(alone)-len(t.post.After)]
	for first < min(len(alone), end) && ids[first] == alone[first] {
		first++
	}
	// Behind the common tokens, those that still spell the prompt are its own: an
	// answer can cut the prompt's last word differently.
	left := t.spelling(alone[first:])
	for first < end && left != "" {
		// A token that spells nothing would go on for ever; it ends the prompt.
		rest, ok := strings.CutPrefix(left, t.spelling(ids[first:first+1]))
		if !ok || rest == left {
			break
		}
		left = rest
		first++
	}
	return ids, first
}

// spelling joins what tokens stand for in the normalized text.
func (t *Tokenizer) spelling(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.model.Spelling(t.Token(id)))
	}
	return b.String()
}
