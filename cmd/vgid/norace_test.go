//go:build linux && !race

package main

// race says whether the tests run under the race detector.
const race = false
