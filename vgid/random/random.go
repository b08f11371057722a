// Package random gives a stream of random numbers for every (seed, purpose, index).
package random

import (
	"hash/fnv"
	"math/rand/v2"
)

// Stream returns the random stream of (seed, purpose, index). Distinct keys
// give unrelated streams, so that adding a person or a view moves no other.
func Stream(seed uint64, purpose string, index uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	p := h.Sum64()
	return rand.New(rand.NewPCG(mix64(seed^mix64(p)), mix64(index+mix64(p+seed))))
}

// mix64 is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix64(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
