package cpu

import "vgid/model/cpu/internal/simd"

// source is an operand of a multiplication: element (i, j) at i·rs + j·cs of
// f, or of h when it is stored as bfloat16.
// Strides of both kinds let transposed operands, columns of fused projections and packed panels
// be read by the same code. One stride is always 1: matrices are stored by rows.
type source struct {
	f      []float32
	h      []uint16
	rs, cs int
}

// at is the source from element (i, j) on.
func (s source) at(i, j int) source {
	o := i*s.rs + j*s.cs
	if s.h != nil {
		s.h = s.h[o:]
	} else {
		s.f = s.f[o:]
	}
	return s
}

// transposed swaps rows and columns.
func (s source) transposed() source {
	s.rs, s.cs = s.cs, s.rs
	return s
}

// f32 is the rows×cols block at the start of s in float32, widened into scratch
// memory when it is bfloat16.
func (s source) f32(rows, cols int, mem *scratch) source {
	if s.h == nil {
		return s
	}
	return widen(s, rows, cols, mem)
}

// gemmTask computes c = alpha·a·b (+ bias) + beta·c for an m×k a and a k×n b.
type gemmTask struct {
	m, n, k     int
	a, b        source
	c           []float32
	ldc         int
	alpha, beta float32
	bias        []float32

	tile     simd.Tile
	strategy strategy
	inPlace  bool // neither operand is packed
	byRows   bool // chunks are ranges of rows (B is packed whole), else of columns
	step     int  // rows or columns of a chunk
	depth    int  // of a block of k

	packing  bool      // first phase: chunks fill whole
	whole    []float32 // the operand that is packed whole, for k in [from, to)
	from, to int
}

// gemm runs t on all threads.
//
// The operand that is packed whole is shared by all threads, which is why packing it is a phase
// of its own: run returns when all of it is there.
func (b *Device) gemm(t *gemmTask) {
	if t.m == 0 || t.n == 0 {
		return
	}
	if t.k == 0 {
		t.empty()
		return
	}
	serial := t.m*t.n*t.k < serialWork
	t.plan(serial)
	if t.strategy == dotProduct || t.inPlace {
		t.from, t.to = 0, t.k
		b.runGemm(t, serial)
		return
	}
	taken := b.shared.used
	for k := 0; k < t.k; k = t.to {
		t.pass(k)
		t.whole = b.shared.floats(t.padded() * (t.to - t.from))
		t.packing = true
		b.runGemm(t, serial)
		t.packing = false
		b.runGemm(t, serial)
		b.shared.used = taken
	}
}

// runGemm does the chunks of a phase, on this goroutine alone where waking others costs more.
func (b *Device) runGemm(t *gemmTask, serial bool) {
	if !serial {
		b.pool.run(t.chunks(), t)
		return
	}
	s := &b.pool.own
	for i := range t.chunks() {
		s.reset()
		t.do(i, s)
	}
}

// local runs t within a chunk of another operation, on that worker's memory.
func (t *gemmTask) local(s *scratch) {
	if t.m == 0 || t.n == 0 {
		return
	}
	if t.k == 0 {
		t.empty()
		return
	}
	t.plan(true)
	taken := s.used
	if t.strategy == dotProduct || t.inPlace {
		t.from, t.to = 0, t.k
		for i := range t.chunks() {
			t.do(i, s)
		}
		return
	}
	for k := 0; k < t.k; k = t.to {
		t.pass(k)
		t.whole = s.floats(t.padded() * (t.to - t.from))
		for _, packing := range []bool{true, false} {
			t.packing = packing
			for i := range t.chunks() {
				mark := s.used
				t.do(i, s)
				s.used = mark
			}
		}
		s.used = taken
	}
}

// do is one chunk of the phase at hand. Chunks write rows or columns of c that no other chunk
// touches.
func (t *gemmTask) do(chunk int, s *scratch) {
	switch {
	case t.packing:
		t.packWhole(chunk, s)
	case t.strategy == dotProduct:
		t.dots(chunk*t.step, min((chunk+1)*t.step, t.n), s)
	case t.strategy == narrow:
		t.narrow(chunk*t.step, min((chunk+1)*t.step, t.m))
	case t.byRows:
		t.rowChunk(chunk*t.step, min((chunk+1)*t.step, t.m), s)
	default:
		t.colChunk(chunk*t.step, min((chunk+1)*t.step, t.n), s)
	}
}

// packWhole packs some panels of one block of k. Blocks lie behind each other in whole, each
// padded() high.
func (t *gemmTask) packWhole(chunk int, s *scratch) {
	step, dim := t.packStep(), t.wholeDim()
	per := pieces(dim, step)
	k := t.from + chunk/per*t.depth
	kc := min(t.depth, t.to-k)
	i := chunk % per * step
	n := min(step, dim-i)
	dst := t.whole[(k-t.from)*t.padded()+i*kc:]
	if t.byRows {
		packB(dst, t.b.at(k, i), kc, n, t.tile.Cols, s)
	} else {
		packA(dst, t.a.at(i, k), n, kc, t.m-i, t.tile.Rows, s)
	}
}

// epilogue of the block of k that starts at k: beta and bias belong to the
// first, the later ones add.
func (t *gemmTask) epilogue(k int) (simd.Epilogue, []float32) {
	if k == 0 {
		return simd.Epilogue{Alpha: t.alpha, Beta: t.beta}, t.bias
	}
	return simd.Epilogue{Alpha: t.alpha, Beta: 1}, nil
}

// rowChunk computes rows [i0, i1): A packed here, B whole.
func (t *gemmTask) rowChunk(i0, i1 int, s *scratch) {
	a := s.floats(up(i1-i0, t.tile.Rows) * t.depth)
	for k := t.from; k < t.to; k += t.depth {
		kc := min(t.depth, t.to-k)
		packA(a, t.a.at(i0, k), i1-i0, kc, t.m-i0, t.tile.Rows, s)
		t.tiles(a, t.whole[(k-t.from)*t.padded():], i0, i1, 0, t.n, k, kc)
	}
}

// colChunk computes columns [j0, j1): A whole, B packed here or read in place.
func (t *gemmTask) colChunk(j0, j1 int, s *scratch) {
	if t.m <= t.directRows() && t.b.h == nil && t.b.cs == 1 {
		t.direct(j0, j1, s)
		return
	}
	b := s.floats(up(j1-j0, t.tile.Cols) * t.depth)
	for k := t.from; k < t.to; k += t.depth {
		kc := min(t.depth, t.to-k)
		packB(b, t.b.at(k, j0), kc, j1-j0, t.tile.Cols, s)
		a := t.whole[(k-t.from)*t.padded():]
		for i := 0; i < t.m; i += rowBlock {
			t.tiles(a[i*kc:], b, i, min(i+rowBlock, t.m), j0, j1, k, kc)
		}
	}
}

// tiles multiplies packed blocks: a holds rows [i0, i1), b columns [j0, j1).
func (t *gemmTask) tiles(a, b []float32, i0, i1, j0, j1, k, kc int) {
	e, bias := t.epilogue(k)
	rows, cols := t.tile.Rows, t.tile.Cols
	tile := func(i, j int) {
		simd.Mul(min(rows, i1-i), min(cols, j1-j), kc, a[(i-i0)*kc:], 1, rows, b[(j-j0)*kc:], cols, t.c[i*t.ldc+j:], t.ldc, e, from(bias, j))
	}
	// The panel that stays in the first-level cache is the slimmer one where the
	// other would fill it.
	if cols > 16 {
		for block := j0; block < j1; block += colBlock {
			for i := i0; i < i1; i += rows {
				for j := block; j < min(block+colBlock, j1); j += cols {
					tile(i, j)
				}
			}
		}
		return
	}
	for j := j0; j < j1; j += cols {
		for i := i0; i < i1; i += rows {
			tile(i, j)
		}
	}
}

// direct is colChunk for so few rows that a copy of B would not pay.
func (t *gemmTask) direct(j0, j1 int, s *scratch) {
	rows, cols := t.tile.Rows, t.tile.Cols
	edge := s.floats(cols * t.depth)
	for k := t.from; k < t.to; k += t.depth {
		kc := min(t.depth, t.to-k)
		a := t.whole[(k-t.from)*t.padded():]
		e, bias := t.epilogue(k)
		for j := j0; j < j1; j += cols {
			n := min(cols, j1-j)
			b := t.b.at(k, j)
			bp, bs := b.f, b.rs
			if n < cols && !simd.InPlace() {
				packB(edge, b, kc, n, cols, s)
				bp, bs = edge, cols
			}
			for i := 0; i < t.m; i += rows {
				simd.Mul(min(rows, t.m-i), n, kc, a[i*kc:], 1, rows, bp, bs, t.c[i*t.ldc+j:], t.ldc, e, from(bias, j))
			}
		}
	}
}

// narrow computes rows [i0, i1) from A in place.
func (t *gemmTask) narrow(i0, i1 int) {
	rows, cols := t.tile.Rows, t.tile.Cols
	if t.n <= cols {
		rows = i1 - i0 // no other panel waits for a row
	}
	for k := t.from; k < t.to; k += t.depth {
		kc := min(t.depth, t.to-k)
		// A panel of B starts j·step elements on, its rows are bs apart.
		b, step, bs := t.b.f, 1, t.b.rs
		if !t.inPlace {
			b, step, bs = t.whole[(k-t.from)*t.padded():], kc, cols
		}
		e, bias := t.epilogue(k)
		for i := i0; i < i1; i += rows {
			m, a, c := min(rows, i1-i), t.a.f[i*t.a.rs+k*t.a.cs:], t.c[i*t.ldc:]
			for j := 0; j < t.n; j += cols {
				simd.Mul(m, min(cols, t.n-j), kc, a, t.a.rs, t.a.cs, b[j*step:], bs, c[j:], t.ldc, e, from(bias, j))
			}
		}
	}
}

// dots computes columns [j0, j1) as dot products of rows.
func (t *gemmTask) dots(j0, j1 int, s *scratch) {
	var out [12]float32
	for lo := j0; lo < j1; lo += 4 {
		j := min(lo, t.n-4) // the last group is moved back to be whole
		used := s.used
		group := t.b.at(0, j).f32(t.k, 4, s)
		b, ldb := group.f, group.cs
		for i := 0; i < t.m; {
			// Four rows are two and two: three and one would read b twice for one row.
			h := min(3, t.m-i)
			if t.m-i == 4 {
				h = 2
			}
			simd.Dots(h, t.k, t.a.f[i*t.a.rs:], t.a.rs, b, ldb, &out)
			for r := range h {
				row := t.c[(i+r)*t.ldc:]
				for q := lo; q < min(lo+4, j1); q++ {
					v := t.alpha * out[4*r+q-j]
					if t.bias != nil {
						v += t.bias[q]
					}
					if t.beta != 0 {
						v += t.beta * row[q]
					}
					row[q] = v
				}
			}
			i += h
		}
		s.used = used
	}
}

// from is the bias from column j on.
func from(bias []float32, j int) []float32 {
	if bias == nil {
		return nil
	}
	return bias[j:]
}

// empty is the product over no k at all: only the epilogue remains.
func (t *gemmTask) empty() {
	for i := range t.m {
		row := t.c[i*t.ldc:][:t.n]
		for j := range row {
			v := float32(0)
			if t.beta != 0 {
				v = t.beta * row[j]
			}
			if t.bias != nil {
				v += t.bias[j]
			}
			row[j] = v
		}
	}
}
