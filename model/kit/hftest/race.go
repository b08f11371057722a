//go:build race

package hftest

// Race tells that the race detector is at work, which makes a test five to ten times
// as slow: it shortens those that go over many inputs.
const Race = true
