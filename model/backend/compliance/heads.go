package compliance

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// headShape is a language-model head: tokens, width, vocabulary, the width of
// the teacher.
// Hidden states are [t, d], heads [vocab, d]; those of a teacher [t, dt] and [vocab, dt]. The
// vocabulary is common to both.
type headShape struct{ t, d, vocab, dt int }

// No tokens, a vocabulary of one, a teacher of another width, a vocabulary that is a multiple of
// nothing (4099).
var headShapes = []headShape{
	{0, 4, 5, 4}, {1, 1, 1, 1}, {1, 16, 50, 16}, {3, 8, 2, 5}, {17, 33, 130, 20},
	{70, 24, 517, 24}, {300, 12, 90, 12}, {5, 16, 4099, 16},
}

// gradients makes the optional destinations: bit 0 asks for dh, bit 1 for dw.
// They hold numbers that the operation adds to.
// A frozen head has no dw, a pass without training neither.
func (s *suite) gradients(z headShape, which int) (dh, dw *twin) {
	if which&1 != 0 {
		dh = s.floats(z.t, z.d, s.normal)
	}
	if which&2 != 0 {
		dw = s.floats(z.vocab, z.d, s.normal)
	}
	return dh, dw
}

// Without gradients no row weights are given, as losses are then only measured.
var heads = []one{
	{"linear_ce", func(s *suite) {
		for _, z := range headShapes {
			for which := range 4 {
				what := fmt.Sprintf("%+v gradients=%02b", z, which)
				h, w := s.floats(z.t, z.d, s.normal), s.floats(z.vocab, z.d, s.normal)
				target := s.ints(z.t, 1, s.randomInts(z.t, 0, int64(z.vocab-1)))
				loss := s.floats(z.t, 1, junk)
				dh, dw := s.gradients(z, which)
				var weight *twin
				if which != 0 {
					weight = s.floats(z.t, 1, s.rowWeights)
				}
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					be.LinearCE(at(loss), at(dh), at(dw), at(h), at(w), at(target), at(weight))
				})
				s.same("linear_ce", what, loss)
				s.same("linear_backward", what, dh, dw)
				s.finish(what)
			}
		}
	}},
	{"linear_kl", func(s *suite) {
		for i, z := range headShapes {
			for which := range 4 {
				// Zeros mean 1, which the first case checks.
				p := []backend.KL{{}, {TeacherTemp: 2, StudentTemp: 2, Scale: 4}, {TeacherTemp: 0.5, Scale: 0.25}, {StudentTemp: 3}}[(i+which)%4]
				what := fmt.Sprintf("%+v %+v gradients=%02b", z, p, which)
				h, w := s.floats(z.t, z.d, s.half), s.floats(z.vocab, z.d, s.half)
				ht, wt := s.floats(z.t, z.dt, s.half), s.floats(z.vocab, z.dt, s.half)
				if z.dt == z.d && which%2 == 1 {
					wt, what = w, what+" one head"
				}
				loss := s.floats(z.t, 1, junk)
				dh, dw := s.gradients(z, which)
				var weight *twin
				if which != 0 {
					weight = s.floats(z.t, 1, s.rowWeights)
				}
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					be.LinearKL(at(loss), at(dh), at(dw), at(h), at(w), at(ht), at(wt), at(weight), p)
				})
				s.same("linear_kl", what, loss)
				s.same("linear_backward", what, dh, dw)
				s.finish(what)
			}
		}
	}},
	{"linear heads with large logits", func(s *suite) {
		// Logits have a deviation of 6·√32, about 34: exp of the larger ones overflows without the
		// maximum taken off.
		z := headShape{9, 32, 77, 32}
		big := func() float64 { return 6 * s.normal() }
		h, w, ht := s.floats(z.t, z.d, big), s.floats(z.vocab, z.d, s.normal), s.floats(z.t, z.d, big)
		target, weight := s.ints(z.t, 1, s.randomInts(z.t, 0, 76)), s.floats(z.t, 1, s.rowWeights)
		ce, kl := s.floats(z.t, 1, junk), s.floats(z.t, 1, junk)
		dh, dw := s.gradients(z, 3)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
			be.LinearCE(at(ce), at(dh), at(dw), at(h), at(w), at(target), at(weight))
			be.LinearKL(at(kl), at(dh), at(dw), at(h), at(w), at(ht), at(w), at(weight), backend.KL{})
		})
		s.same("linear_large", "loss", ce, kl)
		s.same("linear_backward_large", "gradients", dh, dw)
	}},
	// No relative error makes sense at 0: what is checked is that the loss of a student that is
	// its teacher is 0.
	{"linear_kl of equal models", func(s *suite) {
		h, w, loss := s.floats(20, 24, s.normal), s.floats(90, 24, s.normal), s.floats(20, 1, junk)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
			be.LinearKL(at(loss), backend.Tensor{}, backend.Tensor{}, at(h), at(w), at(h), at(w), backend.Tensor{}, backend.KL{})
		})
		s.same("linear_kl_zero", "student = teacher", loss)
	}},
}

var optimizer = []one{
	// The destination holds a number before: squares are added, so that a norm is taken over
	// several tensors.
	{"sum_squares", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, y := s.floats(r, c, s.normal), s.floats(1, 1, s.uniform)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.SumSquares(at(y), at(x)) })
			s.same("sum_squares", what, y)
		})
	}},
	{"adamw", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			s.adamw(r, c, backend.AdamW{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, ClipNorm: 1, Step: 3}, 9)
		})
	}},
	{"adamw hyper-parameters", func(s *suite) {
		// Not given, all gradients zero, and norms (their squares, here) on either side of what is
		// clipped.
		for _, norm := range []float64{-1, 0, 3.7, 50} {
			for _, clip := range []float32{0, 0.5, 100} {
				for _, eps := range []float32{1e-8, 0.1} { // one that matters shows where it is added
					for _, step := range []int{1, 2, 1000} {
						h := backend.AdamW{LR: pick(s.rng, float32(0.01), 0.1), Beta1: pick(s.rng, float32(0.9), 0), Beta2: pick(s.rng, float32(0.95), 0.999),
							Eps: eps, WeightDecay: pick(s.rng, float32(0), 0.1), ClipNorm: clip, Step: step}
						s.adamw(3, 17, h, norm)
					}
				}
			}
		}
	}},
}

// adamw updates once with a squared norm, which is not given when negative.
func (s *suite) adamw(r, c int, h backend.AdamW, normSq float64) {
	p, g := s.floats(r, c, s.normal), s.floats(r, c, s.normal)
	m, v := s.floats(r, c, s.normal), s.floats(r, c, s.uniform)
	var norm *twin
	if normSq >= 0 {
		norm = s.floats(1, 1, func() float64 { return normSq })
	}
	what := fmt.Sprintf("[%d, %d] %+v normSq=%v", r, c, h, normSq)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.AdamW(at(p), at(g), at(m), at(v), at(norm), h)
	})
	s.same("adamw", what, m, v)
	// A small second moment magnifies the rounding of the first.
	c1, c2 := 1-math.Pow(float64(h.Beta1), float64(h.Step)), 1-math.Pow(float64(h.Beta2), float64(h.Step))
	s.sameScaled("adamw", what, func(r, col int) float64 {
		return 1 + float64(h.LR)/c1/(math.Sqrt(v.want[r*c+col]/c2)+float64(h.Eps))
	}, p)
	s.finish(what)
}
