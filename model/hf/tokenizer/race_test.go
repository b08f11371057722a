//go:build race

package tokenizer

// slow shortens the tests that go over many strings.
const slow = true
