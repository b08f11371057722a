// Package decoding changes a row of logits before a token is chosen from it:
// the logits processors that generate of transformers 5.23 applies, also when
// nothing is drawn, in its order. They are pure functions of the logits and of
// the tokens so far.
package decoding
