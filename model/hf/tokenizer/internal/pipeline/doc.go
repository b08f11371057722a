// Package pipeline runs what tokenizer.json puts around a model: the normalizer
// rewrites a text, the pre-tokenizer cuts it into words, the post-processor puts
// tokens around their ids, and the decoder makes text of tokens again.
//
// Each is made of one JSON object with a "type", or a Sequence of them, and gives
// what the part of that name in the reference library gives; what a file asks for
// beyond that is refused by its name, never passed over. What is made is a
// function without state, so several goroutines may share it.
//
// Begin with component.go, the fields of all types, then pretoken.go.
package pipeline
