package collective_test

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"vgid/collective"
	"vgid/collective/schedule"
)

// hostile are values of which rounding loses much: of all sizes, of one sign just beside
// the middle between two numbers, cancelling, and too small to be normal.
func hostile(rng *rand.Rand, kind, rank, n int) float32 {
	switch kind {
	case 0:
		return float32(rng.NormFloat64() * math.Exp(12*rng.NormFloat64()))
	case 1: // up by all of half a last place, again and again
		return math.Float32frombits(0x3f808001 + uint32(rng.IntN(2))<<16)
	case 2:
		return float32(math.Ldexp(1, 20*(rank%2))) * (1 - 2*float32(rank/2%2)) * (1 + rng.Float32()/64)
	case 3:
		return math.Float32frombits(rng.Uint32() & 0x800fffff)
	}
	return float32(n-rank) * 1e30 / float32(n)
}

// roundings is how often what a rank puts in is rounded on its way to the result.
func roundings(opt collective.Options, n int) int {
	h := schedule.Same(n)
	if opt.Hosts != nil {
		h = schedule.NewHosts(opt.Hosts)
	}
	switch opt.Algorithm {
	case collective.Rabenseifner:
		return bits.Len(uint(n-1)) + 1
	case collective.Hierarchical:
		biggest := 0
		for _, g := range h.Groups() {
			biggest = max(biggest, len(g))
		}
		return biggest - 1 + h.Count() - 1 + 1
	}
	return n
}

// The bound that the documents state for sums that travel as BF16; all ranks have the same
// bits, those of a BF16.
func TestBoundOfBF16OnTheWire(t *testing.T) {
	ctx := context.Background()
	const u, e = 0x1p-8, 0x1p-24
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(2, 9), rapid.SampledFrom([]int{13, 16, 17})).Draw(rt, "ranks")
		count := rapid.IntRange(1, 60).Draw(rt, "count")
		seed := rapid.Uint64().Draw(rt, "seed")
		kind := rapid.IntRange(0, 4).Draw(rt, "kind")
		op := rapid.SampledFrom([]collective.Op{collective.Sum, collective.Avg}).Draw(rt, "op")
		opt := collective.Options{
			SmallBytes: -1, ChunkBytes: rapid.SampledFrom([]int{8, 64, 1 << 20}).Draw(rt, "chunk"), Wire: collective.TypeBF16,
			Algorithm: rapid.SampledFrom([]collective.Algorithm{collective.Ring, collective.Rabenseifner, collective.Hierarchical}).Draw(rt, "algorithm"),
			Hosts:     rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(rt, "hosts"),
		}
		in, out := make([][]float32, n), make([][]float32, n)
		for r := range n {
			rng := rand.New(rand.NewPCG(seed, uint64(r)))
			for range count {
				in[r] = append(in[r], hostile(rng, kind, r, n))
			}
			out[r] = append(out[r], in[r]...)
		}
		if err := first(world(t, n, opt, nil, func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F32(out[c.Rank()]), op)
		})); err != nil {
			rt.Fatal(err)
		}
		relative := math.Pow(1+u, float64(roundings(opt, n)))*math.Pow(1+e, float64(n)) - 1
		for i := range count {
			exact, size := 0.0, 0.0
			for r := range n {
				exact, size = exact+float64(in[r][i]), size+math.Abs(float64(in[r][i]))
			}
			if op == collective.Avg {
				exact, size = exact/float64(n), size/float64(n)
			}
			got := out[0][i]
			for r := range n {
				if b := math.Float32bits(out[r][i]); b != math.Float32bits(got) || b&0xffff != 0 {
					rt.Fatalf("element %d is %x on rank 0 and %x on rank %d", i, math.Float32bits(got), b, r)
				}
			}
			// Below the normal numbers a rounding errs by half of BF16's smallest, and each rank makes one.
			if err := math.Abs(float64(got) - exact); err > relative*size+float64(n)*0x1p-133 {
				rt.Fatalf("%v by %v over %d ranks: element %d errs by %g, more than %g", op, opt.Algorithm, n, i, err, relative*size)
			}
		}
	})
}

// What is no number stays so, and what is infinite.
func TestNaNAndInfinityAsBF16(t *testing.T) {
	ctx := context.Background()
	inf, nan := float32(math.Inf(1)), math.Float32frombits(0x7f800001) // whose upper half alone is infinite
	for _, alg := range []collective.Algorithm{collective.Ring, collective.Rabenseifner} {
		for n := 2; n <= 5; n++ {
			for odd := range n {
				err := first(world(t, n, collective.Options{SmallBytes: -1, Wire: collective.TypeBF16, Algorithm: alg}, nil, func(c *collective.Comm) error {
					v := []float32{1, 2, 3, 4, 5}
					if c.Rank() == odd {
						v = []float32{nan, inf, -inf, inf, 5}
					} else if c.Rank() == (odd+1)%n {
						v[3] = -inf
					}
					if err := c.AllReduce(ctx, collective.F32(v), collective.Sum); err != nil {
						return err
					}
					if v[0] == v[0] || v[1] != inf || v[2] != -inf || v[3] == v[3] || v[4] != float32(5*n) {
						return fmt.Errorf("%v: %v", alg, v)
					}
					return nil
				}))
				if err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Sums of float32 take half the bytes; short ones, other operations and other types are
// neither rounded nor shortened, and nor is what the doubling sends.
func TestWhatIsRounded(t *testing.T) {
	ctx := context.Background()
	x := float32(1 + 0x1p-20)
	const count = 100_000
	sent := func(opt collective.Options, op collective.Op) (bytes uint64, rounded bool) {
		err := first(world(t, 4, opt, nil, func(c *collective.Comm) error {
			v := make([]float32, count)
			for i := range v {
				v[i] = x
			}
			err := c.AllReduce(ctx, collective.F32(v), op)
			if c.Rank() == 0 {
				bytes, rounded = c.Stats().BytesSent, v[0] != x && v[0] != 4*x
			}
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
		return bytes, rounded
	}
	for _, c := range []struct {
		name string
		opt  collective.Options
		op   collective.Op
		want bool
	}{
		{"ring", collective.Options{Algorithm: collective.Ring}, collective.Sum, true},
		{"rabenseifner", collective.Options{Algorithm: collective.Rabenseifner}, collective.Avg, true},
		{"hierarchical", collective.Options{Hosts: []int{0, 0, 1, 1}}, collective.Sum, true},
		{"auto", collective.Options{}, collective.Sum, true},
		{"max", collective.Options{}, collective.Max, false},
		{"doubling", collective.Options{Algorithm: collective.Doubling}, collective.Sum, false},
		{"short", collective.Options{SmallBytes: 1 << 20}, collective.Sum, false},
	} {
		wide, exact := sent(c.opt, c.op)
		c.opt.Wire = collective.TypeBF16
		narrow, rounded := sent(c.opt, c.op)
		if half := narrow < wide*6/10; exact || rounded != c.want || half != c.want {
			t.Errorf("%s: %d bytes as float32, %d as bfloat16; rounded %v, want %v", c.name, wide, narrow, rounded, c.want)
		}
	}
}
