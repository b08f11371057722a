package compliance

import (
	"fmt"
	"math"
	"slices"

	"vgid/model/backend"
)

var matmul = []one{
	{"matmul", func(s *suite) {
		type size struct{ m, n, k int }
		// Nothing in each dimension (k = 0 leaves Beta·C + Bias), one row, one column, and more
		// than a tile of any kernel each way.
		sizes := []size{{0, 5, 3}, {4, 0, 3}, {4, 6, 0}, {1, 1, 1}, {1, 300, 70}, {130, 1, 65}, {140, 190, 300}}
		for range 20 {
			sizes = append(sizes, size{s.size(), s.size(), s.size()})
		}
		for _, z := range sizes {
			for _, p := range []backend.MatMul{{}, {TransA: true}, {TransB: true}, {TransA: true, TransB: true}} {
				p.Alpha, p.Beta = pick(s.rng, float32(1), 1, -0.5), pick(s.rng, float32(0), 0, 1, 0.25)
				s.matmul(z.m, z.n, z.k, p, s.rng.IntN(2) == 0)
			}
		}
	}},
	{"matmul keeps nan", func(s *suite) {
		// 0·NaN is NaN: a kernel may not skip zeros.
		a, b, c := s.dense(5, 9, func() float64 { return 0 }), s.dense(9, 7, junk), s.dense(5, 7, s.normal)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
			be.MatMul(at(c), at(a), at(b), backend.MatMul{Alpha: 1})
		})
		s.same("matmul", "0·NaN", c)
	}},
	{"sum_rows", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, y := s.floats(r, c, s.normal), s.floats(1, c, s.normal)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.SumRows(at(y), at(x)) })
			s.same("sum_rows", what, y)
		})
	}},
}

// matmul checks C = Alpha·op(A)·op(B) + Beta·C + Bias, C being [m, n] and k the inner size.
// C holds numbers where the product is added to it and NaN where it is not, so that reading it is
// found out.
func (s *suite) matmul(m, n, k int, p backend.MatMul, withBias bool) {
	what := fmt.Sprintf("m=%d n=%d k=%d %+v bias=%v", m, n, k, p, withBias)
	ar, ac, br, bc := m, k, k, n
	if p.TransA {
		ar, ac = k, m
	}
	if p.TransB {
		br, bc = n, k
	}
	old := s.normal
	if p.Beta == 0 {
		old = junk
	}
	a, b, c := s.floats(ar, ac, s.normal), s.floats(br, bc, s.normal), s.floats(m, n, old)
	var bias *twin
	if withBias {
		bias = s.floats(1, n, s.normal)
	}
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		p.Bias = at(bias)
		be.MatMul(at(c), at(a), at(b), p)
	})
	s.same("matmul", what, c)
	s.finish(what)
}

// An index below 0 names no row: a gather clears its row, the others skip it.
var rows = []one{
	{"gather_rows", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			src, dst := s.floats(9, c, s.normal), s.floats(r, c, junk)
			idx := s.ints(r, 1, s.randomInts(r, -2, 8))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.GatherRows(at(dst), at(src), at(idx)) })
			s.same("gather_rows", what, dst)
		})
	}},
	{"scatter_rows", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			order := make([]int32, r)
			// Distinct rows, as the interface asks: of two writes to one row either could be last.
			for i, v := range s.rng.Perm(r + 3)[:r] {
				order[i] = int32(v)
				if s.rng.IntN(4) == 0 {
					order[i] = -1
				}
			}
			src, dst, idx := s.floats(r, c, s.normal), s.floats(r+3, c, s.normal), s.ints(r, 1, order)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ScatterRows(at(dst), at(src), at(idx)) })
			s.same("scatter_rows", what, dst)
		})
	}},
	{"scatter_add_rows", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			src, dst := s.floats(r, c, s.normal), s.floats(11, c, s.normal)
			idx := s.ints(r, 1, s.randomInts(r, -2, 10))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ScatterAddRows(at(dst), at(src), at(idx)) })
			s.same("scatter_add_rows", what, dst)
		})
	}},
	// Gradients of one embedding row meet here. Atomic additions would be simpler and give other
	// bits each time.
	{"scatter_add_rows in row order", func(s *suite) {
		// 2⁶⁰ - 2⁶⁰ + 1 is 1 in this order only: in others the 1 is rounded away.
		for _, z := range []struct{ groups, cols int }{{1, 1}, {4, 33}, {30, 100}} {
			var order []int32
			for round := range 5 {
				for i := range z.groups {
					if round%2 == 1 {
						i = -1 // skipped, whatever the row holds
					}
					order = append(order, int32(i))
				}
			}
			drawn := 0
			src := s.floats(len(order), z.cols, func() float64 {
				drawn++
				return []float64{1 << 60, math.NaN(), -1 << 60, math.NaN(), 1}[(drawn-1)/(z.groups*z.cols)]
			})
			dst, idx := s.floats(z.groups, z.cols, nought), s.ints(len(order), 1, order)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ScatterAddRows(at(dst), at(src), at(idx)) })
			s.same("scatter_add_rows", fmt.Sprintf("%+v, big ones and their opposites first", z), dst)
			s.finish("scatter_add_rows in row order")
		}
	}},
	{"patchify", func(s *suite) {
		// n images, each a row of channels·height·width values, into n·down·across rows of one
		// patch.
		for _, z := range []struct{ n, channels, down, across, patch int }{
			{1, 1, 1, 1, 1}, {2, 3, 4, 4, 12}, {3, 3, 2, 5, 7}, {0, 3, 2, 2, 4}, {1, 2, 3, 1, 8},
		} {
			h, w := z.down*z.patch, z.across*z.patch
			x := s.floats(z.n, z.channels*h*w, s.normal)
			y := s.floats(z.n*z.down*z.across, z.channels*z.patch*z.patch, junk)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.Patchify(at(y), at(x), z.channels, h, w, z.patch)
			})
			s.same("patchify", fmt.Sprint(z), y)
			s.finish(fmt.Sprint(z))
		}
	}},
	{"argmax", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			// Few distinct values, so that rows have ties.
			// The first of equal values is the answer, as in PyTorch. All are negative: a maximum
			// that begins at 0 finds none.
			x := s.floats(r, c, func() float64 { return float64(s.rng.IntN(4)) - 5 })
			y := s.ints(r, 1, make([]int32, r))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ArgMax(at(y), at(x)) })
			s.same("argmax", what, y)
		})
	}},
	{"argmax of what is not finite", func(s *suite) {
		for _, cols := range []int{1, 2, 5, 64, 777} {
			// A row that holds one of them answers -1, wherever it stands.
			broken := s.rng.Perm(cols * 4)[:max(1, cols/50)]
			at := 0
			x := s.floats(4, cols, func() float64 {
				at++
				if slices.Contains(broken, at-1) {
					return pick(s.rng, math.NaN(), math.Inf(1), math.Inf(-1))
				}
				return s.normal() * math.Pow(10, float64(s.rng.IntN(38))) // sums may overflow
			})
			y := s.ints(4, 1, make([]int32, 4))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ArgMax(at(y), at(x)) })
			s.same("argmax", fmt.Sprintf("[4, %d] with %d elements that are not finite", cols, len(broken)), y)
			s.finish("argmax of what is not finite")
		}
	}},
}

// dx and dw hold numbers before: backward passes add to them, and a device that overwrites is
// found out.
var norms = []one{
	{"rms_norm", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, w := s.floats(r, c, s.normal), s.floats(1, c, s.normal)
			y, rstd := s.floats(r, c, junk), s.floats(r, 1, junk)
			dy, dx := s.floats(r, c, s.normal), s.floats(r, c, s.normal)
			var dw *twin
			if s.rng.IntN(2) == 0 {
				dw = s.floats(1, c, s.normal)
			}
			// The large one shows whether it stands inside the root.
			eps := pick(s.rng, float32(1e-5), 0.3)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.RMSNorm(at(y), at(rstd), at(x), at(w), eps)
			})
			s.same("rms_norm", what, y, rstd)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.RMSNormBackward(at(dx), at(dw), at(dy), at(x), at(w), at(rstd))
			})
			s.same("rms_norm_backward", what, dx, dw)
		})
	}},
	{"layer_norm", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, w, b := s.floats(r, c, s.normal), s.floats(1, c, s.normal), s.floats(1, c, s.normal)
			y, stats := s.floats(r, c, junk), s.floats(r, 2, junk)
			dy, dx := s.floats(r, c, s.normal), s.floats(r, c, s.normal)
			var dw, db *twin
			if s.rng.IntN(2) == 0 {
				dw = s.floats(1, c, s.normal)
			}
			if s.rng.IntN(2) == 0 {
				db = s.floats(1, c, s.normal)
			}
			// A single column has variance 0 and gradients that cancel at
			// rstd = 1/√eps; a larger eps keeps that within float32.
			eps := pick(s.rng, float32(1e-2), 0.3)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.LayerNorm(at(y), at(stats), at(x), at(w), at(b), eps)
			})
			s.same("layer_norm", what, y, stats)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.LayerNormBackward(at(dx), at(dw), at(db), at(dy), at(x), at(w), at(stats))
			})
			s.same("layer_norm_backward", what, dx, dw, db)
		})
	}},
	{"layer_norm far from zero", func(s *suite) {
		// E[x²]-E[x]² in float32 has no digits left here.
		x := s.floats(7, 100, func() float64 { return 3000 + s.normal() })
		w, b := s.floats(1, 100, s.normal), s.floats(1, 100, s.normal)
		y, stats := s.floats(7, 100, junk), s.floats(7, 2, junk)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
			be.LayerNorm(at(y), at(stats), at(x), at(w), at(b), 1e-5)
		})
		s.same("layer_norm_offset", "around 3000", y, stats)
	}},
}
