// Package subword holds the models of tokenizer.json, which turn one word into
// ids: byte-pair encoding (BPE), Unigram, WordPiece and WordLevel. A model does not
// change once it is read, but for a cache of words; several goroutines may share
// it, each with a Work of its own.
//
// Begin with tokmodel.go.
package subword
