package backend

import "math"

// Key selects one random stream. Everything random in training is a pure
// function of (Seed, Step, Site, sample, position), never of a rank, a thread
// or the order of calls, so any number of workers draws the same numbers.
type Key struct {
	Seed uint64
	Step uint32
	Site uint32 // which use inside a step: image noise, the dropout of layer 3's q_proj …
}

// Distribution is what Operations.Random draws.
type Distribution uint8

// The distributions of Operations.Random.
const (
	Uniform Distribution = iota // [0, 1), multiples of 2⁻²⁴
	Normal                      // mean 0, variance 1 (Box-Muller)
)

// Philox4x32 is the counter-based generator of Salmon et al. (SC'11) with ten
// rounds: 128 random bits from a 128-bit counter and a 64-bit key.
func Philox4x32(ctr [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		p0 := uint64(0xD2511F53) * uint64(ctr[0])
		p1 := uint64(0xCD9E8D57) * uint64(ctr[2])
		ctr = [4]uint32{
			uint32(p1>>32) ^ ctr[1] ^ key[0], uint32(p1),
			uint32(p0>>32) ^ ctr[3] ^ key[1], uint32(p0),
		}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return ctr
}

// Block returns the 4 words that columns 4·block … 4·block+3 of the row keyed
// (sample, position) are made from. The stream every backend reproduces bit
// for bit:
//
//	counter = (block, position, sample, Site), key = (lo(Seed), hi(Seed) ^ Step·0x9E3779B9)
func (k Key) Block(block, position, sample uint32) [4]uint32 {
	return Philox4x32(
		[4]uint32{block, position, sample, k.Site},
		[2]uint32{uint32(k.Seed), uint32(k.Seed>>32) ^ k.Step*0x9E3779B9},
	)
}

// ToUniform maps a word to [0, 1) with 24 bits.
func ToUniform(w uint32) float32 { return float32(w>>8) * (1.0 / (1 << 24)) }

// Keep reports whether Dropout with probability p keeps the element made from
// word w.
func Keep(w uint32, p float32) bool { return ToUniform(w) >= p }

// ToNormal maps two words to two independent standard normals.
func ToNormal(a, b uint32) (float64, float64) {
	r := math.Sqrt(-2 * math.Log((float64(a)+1)*(1.0/(1<<32))))
	s, c := math.Sincos(2 * math.Pi * float64(b) * (1.0 / (1 << 32)))
	return r * c, r * s
}

// FillRandom is Operations.Random for one host row: the definition that other
// backends are compared with.
func FillRandom(dst []float32, dist Distribution, k Key, sample uint32) {
	for i := 0; i < len(dst); i += 4 {
		w := k.Block(uint32(i/4), 0, sample)
		var v [4]float32
		if dist == Uniform {
			v = [4]float32{ToUniform(w[0]), ToUniform(w[1]), ToUniform(w[2]), ToUniform(w[3])}
		} else {
			a, b := ToNormal(w[0], w[1])
			c, d := ToNormal(w[2], w[3])
			v = [4]float32{float32(a), float32(b), float32(c), float32(d)}
		}
		copy(dst[i:], v[:])
	}
}
