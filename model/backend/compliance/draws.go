package compliance

import (
	"math"
	"math/rand/v2"

	"vgid/model/backend"
)

// draws are the inputs of a part. The stream is seeded by the length of the part's name (play)
// and by nothing of the backend, so that a part draws the same inputs each time it is played:
// a device is compared with answers that the reference gave in another play.
type draws struct {
	pcg *rand.PCG // where the stream stands
	rng *rand.Rand
}

func (d draws) normal() float64  { return d.rng.NormFloat64() }
func (d draws) uniform() float64 { return d.rng.Float64() }

// junk is what destinations hold that are written but must not be read.
// The NaN would be in the result if it were read.
func junk() float64 { return math.NaN() }

// pick chooses one of the values.
func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// size draws a length around the widths of vector registers and blocks.
// Below, at and above each width: the edges are where kernels go wrong.
func (d draws) size() int {
	return pick(d.rng, 1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 47, 63, 64, 65, 100)
}

// steep draws mostly ordinary values and some far out, where exponentials of
// a careless implementation overflow.
// exp overflows float32 beyond 88, and tanh is 1 in it beyond about 9.
func (d draws) steep() float64 {
	if d.rng.IntN(8) > 0 {
		return 2 * d.normal()
	}
	return pick(d.rng, 0, math.Copysign(0, -1), 1e-4, -1e-4, 6, -6, 12, -12, 40, -40, 95, -95, 1000, -1000)
}

// randomInts are n integers from least to most, both included. Of indices -1 and below mean
// "skip".
func (d draws) randomInts(n int, least, most int64) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(least + d.rng.Int64N(most-least+1))
	}
	return out
}

// rowWeights are positive, negative (gradient ascent) and zero.
// Exactly zero is what rows outside the answer have, and must leave their gradients untouched.
func (d draws) rowWeights() float64 {
	return pick(d.rng, 1, 0.3, -0.7, 0)
}

// half keeps logits small, so that a softmax over them has more than one element that counts.
func (d draws) half() float64 { return 0.5 * d.normal() }

// key is the place of a stream: any seed, step and site must do.
func (d draws) key() backend.Key {
	return backend.Key{Seed: d.rng.Uint64(), Step: d.rng.Uint32(), Site: d.rng.Uint32()}
}
