package compliance

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// Numbers depend on key and sample alone: the property that makes training independent of ranks
// and batches.
var random = []one{
	{"random uniform", func(s *suite) { s.random(backend.Uniform, "random_uniform") }},
	{"random normal", func(s *suite) { s.random(backend.Normal, "random_normal") }},
	{"dropout", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			p := pick(s.rng, float32(0), 0.05, 0.5, 0.9)
			what = fmt.Sprintf("%s p=%v", what, p)
			key := s.key()
			ids := s.randomInts(2*r, -3, 50)
			x := s.floats(r, c, func() float64 { return 1 + s.uniform() }) // never 0 by itself
			y, n := s.floats(r, c, junk), s.ints(r, 2, ids)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Dropout(at(y), at(x), p, key, at(n)) })
			s.same("dropout", what, y)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Dropout(at(x), at(x), p, key, at(n)) })
			s.same("dropout", what+" in place", x)
		})
	}},
	{"dropout does not depend on the batch", func(s *suite) {
		// The row of (sample, position) gets one mask wherever it stands.
		key := s.key()
		ids := []int32{4, 0, 4, 1, 9, 0, 4, 0}
		x, y, n := s.floats(4, 50, func() float64 { return 1 }), s.floats(4, 50, junk), s.ints(4, 2, ids)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Dropout(at(y), at(x), 0.5, key, at(n)) })
		s.same("dropout", "repeated rows", y)
		got := make([]float32, 200)
		if err := s.dev.Download(got, y.dev); err != nil {
			s.t.Fatalf("%v", err)
		}
		equal := [3]bool{true, true, true} // of rows 1, 2, 3 with row 0
		for c := range 50 {
			for i := range equal {
				equal[i] = equal[i] && got[c] == got[50*(i+1)+c]
			}
		}
		if equal != [3]bool{false, false, true} {
			s.t.Errorf("rows equal to the first: %v, want only the one of the same sample and position", equal)
		}
	}},
}

// random compares with backend.FillRandom, the definition of the stream;
// uniform numbers to the bit.
func (s *suite) random(dist backend.Distribution, op string) {
	s.shapes(func(r, c int, what string) {
		key, samples := s.key(), s.randomInts(r, math.MinInt32, math.MaxInt32)
		x, n := s.floats(r, c, junk), s.ints(r, 1, samples)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Random(at(x), dist, key, at(n)) })
		s.same(op, what, x)
	})
}
