//go:build race

package hf

// slow shortens the tests that go over many strings.
const slow = true
