//go:build !race

package tokenizer

const slow = false
