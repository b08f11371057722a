//go:build !race

package hftest

// Race tells that the race detector is at work.
const Race = false
