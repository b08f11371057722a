package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"vgid/model/backend"
)

// indices are n row numbers below limit, some negative; distinct ones when
// asked for.
func (s *suite) indices(n, limit int, distinct bool) []int32 {
	v, order := make([]int32, n), s.rng.Perm(max(n, limit))
	for i := range v {
		switch {
		case s.rng.IntN(6) == 0 || limit == 0:
			v[i] = -1 - int32(s.rng.IntN(3))
		case distinct && order[i] < limit:
			v[i] = int32(order[i])
		case distinct:
			v[i] = -1
		default:
			v[i] = int32(s.rng.IntN(limit))
		}
	}
	return v
}

// withWrong gives the indices to the reference and, with some of those to skip
// turned into ones past the end, to the kernel, which must skip them as well.
func (s *suite) withWrong(v []int32, limit int) (*tensor, uint64) {
	wrong := slices.Clone(v)
	for i := range wrong {
		if wrong[i] == -1 {
			wrong[i] = int32(limit + s.rng.IntN(3))
		}
	}
	return s.integers(1, v...), s.integers(1, wrong...).at
}

// addedInOrder checks that dst is the sum in f32 in row order, to the bit.
func (s *suite) addedInOrder(dst, src, index *tensor) {
	if s.err != nil {
		return
	}
	want := decode(backend.F32, dst.before)
	from := decode(src.t.Buf.DType(), src.before)
	for r, i := range s.readInts(index.at, src.t.Rows) {
		for c := range src.t.Cols {
			if i >= 0 {
				want[dst.t.Off+int(i)*dst.t.Stride+c] += from[src.t.Off+r*src.t.Stride+c]
			}
		}
	}
	raw, err := s.h.read(dst.base, len(dst.before))
	if err != nil {
		s.fail("%v", err)
		return
	}
	for at, v := range decode(backend.F32, raw) {
		if math.Float32bits(v) != math.Float32bits(want[at]) {
			s.fail("scatter_add_rows does not add in row order: %v, want %v", v, want[at])
		}
	}
}

// readInts gives n I32 of the runner's memory.
func (s *suite) readInts(at uint64, n int) []int32 {
	v := make([]int32, n)
	if s.err != nil {
		return v
	}
	raw, err := s.h.read(at, 4*n)
	if err != nil {
		s.fail("%v", err)
		return v
	}
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}

var rowCases = []kernelCase{
	{"check_index", func(s *suite, rows, cols int) {
		if rows == 0 {
			return
		}
		v := s.indices(rows, 50, false)
		for _, bad := range []int{-1, s.rng.IntN(rows)} {
			want := []int32{0, 0, 0, 0}
			if bad >= 0 {
				v[bad] = 50
				v[rows-1] = 1000 // a later one must not win
				want = []int32{7, int32(bad), v[bad], 50}
			}
			index, word := s.integers(1, v...), s.memory(make([]byte, 16))
			s.launch("check_index", Single(256), word, 7, index.at, 1, math.MinInt32, 50, rows)
			if got := s.readInts(word, 4); !slices.Equal(got, want) {
				s.fail("check_index: %v, want %v", got, want)
			}
			if bad >= 0 { // the first error stays
				s.launch("check_index", Single(256), word, 8, index.at, 1, math.MinInt32, 0, rows)
				if got := s.readInts(word, 4); !slices.Equal(got, want) {
					s.fail("check_index again: %v, want %v", got, want)
				}
			}
		}
		low := s.integers(1, 3, -2, 3)
		word := s.memory(make([]byte, 16))
		s.launch("check_index", Single(256), word, 9, low.at, 1, 0, 50, 3)
		if got := s.readInts(word, 4); !slices.Equal(got, []int32{9, 1, -2, 50}) {
			s.fail("check_index of a negative: %v", got)
		}
	}},
	{"gather_rows", func(s *suite, rows, cols int) {
		n := s.rng.IntN(9)
		src, dst := s.floats(s.dtype(), n, cols, s.normal), s.floats(s.dtype(), rows, cols, junk)
		index, at := s.withWrong(s.indices(rows, n, false), n)
		s.launch("gather_rows", Elementwise(rows, cols), dst, src, at, 1, n, rows, cols)
		s.ref.GatherRows(dst.t, src.t, index.t)
		s.same("gather_rows", 0, 0, dst)
	}},
	{"scatter_rows", func(s *suite, rows, cols int) {
		n := s.rng.IntN(2*rows + 1)
		src, dst := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), n, cols, s.normal)
		index, at := s.withWrong(s.indices(rows, n, true), n)
		s.launch("scatter_rows", Elementwise(rows, cols), dst, src, at, 1, n, rows, cols)
		s.ref.ScatterRows(dst.t, src.t, index.t)
		s.same("scatter_rows", 0, 0, dst)
	}},
	{"scatter_add_rows", func(s *suite, rows, cols int) {
		n := 1 + s.rng.IntN(6)
		src, dst := s.floats(s.dtype(), rows, cols, s.normal), s.floats(backend.F32, n, cols, s.normal)
		index, at := s.withWrong(s.indices(rows, n, false), n)
		s.launch("scatter_add_rows", ScatterAdd(rows, cols), dst, src, at, 1, n, rows, cols)
		s.ref.ScatterAddRows(dst.t, src.t, index.t)
		s.same("scatter_add_rows", 1e-5, 1e-5, dst)
		s.addedInOrder(dst, src, index)
	}},
	{"argmax", func(s *suite, rows, cols int) {
		if cols == 0 {
			return
		}
		src := s.floats(s.dtype(), rows, cols, func() float64 {
			switch s.rng.IntN(30 * cols) { // in about a tenth of the rows
			case 0:
				return math.NaN()
			case 1:
				return math.Inf(-1)
			case 2:
				return math.Inf(1)
			}
			return float64(s.rng.IntN(9)) // many equals
		})
		dst := s.integers(1, make([]int32, rows)...)
		dst.output = true
		s.launch("argmax", PerRow(rows, cols, 256), dst.at, 1, src, rows, cols)
		s.ref.ArgMax(dst.t, src.t)
		want := make([]int32, rows)
		if err := s.ref.DownloadInts(want, dst.t); err != nil {
			s.fail("%v", err)
		}
		if got := s.readInts(dst.at, rows); !slices.Equal(got, want) {
			s.fail("argmax: %v, want %v", got, want)
		}
	}},
}

// weightGradient runs the two stages of the gradient of a norm's weight.
func (s *suite) weightGradient(dw, dy, x, stats *tensor, layer int) {
	rows, cols := x.t.Rows, x.t.Cols
	g, parts, perPart := Parts(rows, cols)
	part := s.scratch(4 * parts * cols)
	s.launch("norm_weight_parts", g, part, dy, x, stats, layer, perPart, rows, cols)
	s.launch("sum_parts", Columns(cols), dw, part, parts, cols)
}

func (s *suite) sumRows(dst, src *tensor) {
	rows, cols := src.t.Rows, src.t.Cols
	g, parts, perPart := Parts(rows, cols)
	part := s.scratch(4 * parts * cols)
	s.launch("sum_rows_parts", g, part, src, perPart, rows, cols)
	s.launch("sum_parts", Columns(cols), dst, part, parts, cols)
}

var normCases = []kernelCase{
	{"rms_norm", func(s *suite, rows, cols int) {
		if cols == 0 {
			return
		}
		x, w, y, rstd := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), 1, cols, s.normal), s.floats(s.dtype(), rows, cols, junk), s.floats(backend.F32, rows, 1, junk)
		s.launch("rms_norm", PerRow(rows, cols, 512), y, rstd, x, w, float32(1e-5), rows, cols)
		s.ref.RMSNorm(y.t, rstd.t, x.t, w.t, 1e-5)
		s.same("rms_norm", 1e-5, 1e-6, y, rstd)
	}},
	{"rms_norm_backward", func(s *suite, rows, cols int) {
		if cols == 0 {
			return
		}
		x, w, y, rstd := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), 1, cols, s.normal), s.dense(backend.F32, rows, cols, junk), s.floats(backend.F32, rows, 1, junk)
		dy, dx, dw := s.floats(s.dtype(), rows, cols, s.normal), s.floats(backend.F32, rows, cols, s.normal), s.floats(backend.F32, 1, cols, s.normal)
		s.launch("rms_norm", PerRow(rows, cols, 512), y, rstd, x, w, float32(1e-5), rows, cols)
		s.launch("rms_norm_backward", PerRow(rows, cols, 512), dx, dy, x, w, rstd, rows, cols)
		s.weightGradient(dw, dy, x, rstd, 0)
		s.ref.RMSNorm(y.t, rstd.t, x.t, w.t, 1e-5)
		s.ref.RMSNormBackward(dx.t, dw.t, dy.t, x.t, w.t, rstd.t)
		s.same("rms_norm_backward", 1e-4, 1e-5, y, rstd, dx, dw)
	}},
	{"layer_norm", func(s *suite, rows, cols int) {
		if cols == 0 {
			return
		}
		x, w, b := s.floats(s.dtype(), rows, cols, func() float64 { return 10 + s.normal() }), s.floats(s.dtype(), 1, cols, s.normal), s.floats(s.dtype(), 1, cols, s.normal)
		y, stats := s.floats(s.dtype(), rows, cols, junk), s.floats(backend.F32, rows, 2, junk)
		s.launch("layer_norm", PerRow(rows, cols, 512), y, stats, x, w, b, float32(1e-5), rows, cols)
		s.ref.LayerNorm(y.t, stats.t, x.t, w.t, b.t, 1e-5)
		// One column has no variance: the rounding of the mean is divided by √eps.
		s.same("layer_norm", 1e-4, 1e-5, y, stats)
	}},
	{"layer_norm_backward", func(s *suite, rows, cols int) {
		if cols == 0 {
			return
		}
		x, w, b := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), 1, cols, s.normal), s.floats(backend.F32, 1, cols, s.normal)
		y, stats := s.dense(backend.F32, rows, cols, junk), s.floats(backend.F32, rows, 2, junk)
		dy, dx, dw, db := s.floats(s.dtype(), rows, cols, s.normal), s.floats(backend.F32, rows, cols, s.normal), s.floats(backend.F32, 1, cols, s.normal), s.floats(backend.F32, 1, cols, s.normal)
		s.launch("layer_norm", PerRow(rows, cols, 512), y, stats, x, w, b, float32(1e-2), rows, cols)
		s.launch("layer_norm_backward", PerRow(rows, cols, 512), dx, dy, x, w, stats, rows, cols)
		s.weightGradient(dw, dy, x, stats, 1)
		s.sumRows(db, dy)
		s.ref.LayerNorm(y.t, stats.t, x.t, w.t, b.t, 1e-2)
		s.ref.LayerNormBackward(dx.t, dw.t, db.t, dy.t, x.t, w.t, stats.t)
		s.same("layer_norm_backward", 1e-4, 2e-5, y, stats, dx, dw, db)
	}},
}

var reductionCases = []kernelCase{
	{"sum_rows", func(s *suite, rows, cols int) {
		src, dst := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), 1, cols, s.normal)
		s.sumRows(dst, src)
		s.ref.SumRows(dst.t, src.t)
		s.same("sum_rows", 1e-5, 1e-5, dst)
	}},
	{"sum_squares", func(s *suite, rows, cols int) {
		x, dst := s.floats(s.dtype(), rows, cols, s.normal), s.floats(backend.F32, 1, 1, s.normal)
		r, c := Flatten(rows, cols, x.t.Stride)
		g, parts := SumSquares(r, c)
		if parts > 0 {
			part := s.scratch(8 * parts)
			s.launch("sum_squares_parts", g, part, x, r, c)
			s.launch("sum_squares_finish", Single(256), dst, part, parts)
		}
		s.ref.SumSquares(dst.t, x.t)
		s.same("sum_squares", 1e-6, 1e-6, dst)
	}},
	{"adamw", func(s *suite, rows, cols int) {
		p, g, m, v := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, s.normal), s.floats(backend.F32, rows, cols, s.normal), s.floats(backend.F32, rows, cols, s.uniform)
		h := backend.AdamW{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Step: 1 + s.rng.IntN(100)}
		norm := s.dense(backend.F32, 1, 1, func() float64 { return 9 * s.uniform() })
		var given *tensor
		if s.rng.IntN(3) > 0 {
			given, h.ClipNorm = norm, 1.5
		}
		correct1 := 1 - math.Pow(float64(h.Beta1), float64(h.Step))
		correct2 := 1 - math.Pow(float64(h.Beta2), float64(h.Step))
		s.flat("adamw", []*tensor{p, g, m, v}, p, g, m, v, given, h.ClipNorm, h.Beta1, h.Beta2,
			float32(float64(h.LR)/correct1), float32(1/math.Sqrt(correct2)), h.Eps, float32(1-float64(h.LR)*float64(h.WeightDecay)))
		s.ref.AdamW(p.t, g.t, m.t, v.t, given.view(), h)
		s.same(fmt.Sprintf("adamw, clip %v", h.ClipNorm), 1e-5, 1e-6, p, m, v)
	}},
}
