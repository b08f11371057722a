// Package tokenizer reads tokenizer.json and chat templates and encodes as the
// reference library does, token for token; it trains byte-level BPE too.
//
// This package reads a model's folder as transformers does: which class the files
// mean, which tokens they add, what the chat template may name. What runs then is
// below internal: pipeline (normalizer, pre-tokenizer, post-processor, decoder) and
// subword (the models). Begin with Load and Encode in tokenizer.go; docs/tokenizers.md
// has the order of the files and how all of it is held to the reference.
package tokenizer
