// Package tokenizer reads tokenizer.json and chat templates and encodes as the
// reference library does, token for token; it trains byte-level BPE too.
package tokenizer
