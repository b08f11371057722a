package compliance

import (
	"math"
	"testing"

	"vgid/model/backend"
	"vgid/model/ref"
)

// The reference passes its own suite: the suite asks for nothing impossible.
func TestReference(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the reference is compared with itself; the CPU passes the suite in short runs too")
	}
	Run(t, func(*testing.T) backend.Backend { return ref.New() })
}

// The vectors are those published with Random123 (kat_vectors, philox4x32 10).
func TestPhiloxKnownAnswers(t *testing.T) {
	const ones = 0xFFFFFFFF
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}},
		{[4]uint32{ones, ones, ones, ones}, [2]uint32{ones, ones}, [4]uint32{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}},
		{[4]uint32{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, [2]uint32{0xA4093822, 0x299F31D0},
			[4]uint32{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}},
	} {
		if got := backend.Philox4x32(c.ctr, c.key); got != c.want {
			t.Errorf("Philox4x32(%08x, %08x) = %08x, want %08x", c.ctr, c.key, got, c.want)
		}
	}
}

// The streams have the moments of their distributions, and differ between
// keys and samples.
func TestRandomMoments(t *testing.T) {
	const n = 1 << 16
	x, y := make([]float32, n), make([]float32, n)
	key := backend.Key{Seed: 7, Step: 3, Site: 1}
	for _, c := range []struct {
		dist           backend.Distribution
		mean, variance float64
	}{{backend.Uniform, 0.5, 1.0 / 12}, {backend.Normal, 0, 1}} {
		backend.FillRandom(x, c.dist, key, 5)
		sum, squares := 0.0, 0.0
		for _, v := range x {
			sum += float64(v)
			squares += (float64(v) - c.mean) * (float64(v) - c.mean)
		}
		// Five standard errors of the mean, and as much for the variance.
		slack := 5 * math.Sqrt(2*c.variance/n)
		if math.Abs(sum/n-c.mean) > slack || math.Abs(squares/n-c.variance) > slack {
			t.Errorf("distribution %d: mean %v, variance %v, want %v and %v", c.dist, sum/n, squares/n, c.mean, c.variance)
		}
		for i, other := range []backend.Key{{Seed: 8, Step: 3, Site: 1}, {Seed: 7, Step: 4, Site: 1}, {Seed: 7, Step: 3, Site: 2}, key} {
			sample := uint32(5)
			if other == key {
				sample = 6
			}
			backend.FillRandom(y, c.dist, other, sample)
			equal := 0
			for j := range x {
				if x[j] == y[j] {
					equal++
				}
			}
			if equal > n/1000 {
				t.Errorf("distribution %d: stream %d shares %d of %d numbers with the first", c.dist, i, equal, n)
			}
		}
	}
}

func TestNearTellsApart(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		got, want float64
		near      bool
	}{
		{1, 1, true}, {1.001, 1, false}, {nan, nan, true}, {nan, 1, false}, {1, nan, false},
		{inf, inf, true}, {-inf, inf, false}, {1e30, inf, false}, {inf, 1, false},
	} {
		if near(c.got, c.want, tolerance{1e-5, 1e-5}) != c.near {
			t.Errorf("near(%v, %v) is not %v", c.got, c.want, c.near)
		}
	}
}
