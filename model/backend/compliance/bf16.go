package compliance

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// Frozen weights may be stored as BF16. They are widened exactly and nothing
// else is rounded: an operation on them gives what it gives on the same values
// in F32.

// roundBF16 rounds a finite value to the nearest bfloat16, ties to even.
// Adding half of what is cut off, less one where the kept part is even, carries into it exactly
// when rounding up is right.
func roundBF16(v float32) float32 {
	u := math.Float32bits(v)
	u += 0x7FFF + u>>16&1
	return math.Float32frombits(u &^ 0xFFFF)
}

// The heads of a loss are frozen wherever they are bfloat16: their gradient is asked of no
// backend.
var bf16Weights = []one{
	{"bf16 matmul", func(s *suite) {
		type size struct{ m, n, k int }
		// Decoding (one row), a prompt, tiles with and without edges.
		sizes := []size{{1, 300, 70}, {1, 4, 16}, {7, 65, 129}, {130, 31, 65}, {140, 190, 300}, {0, 5, 3}, {4, 6, 0}}
		for range 12 {
			sizes = append(sizes, size{s.size(), s.size(), s.size()})
		}
		for _, z := range sizes {
			for _, transB := range []bool{false, true} {
				p := backend.MatMul{TransB: transB, Alpha: pick(s.rng, float32(1), -0.5), Beta: pick(s.rng, float32(0), 1)}
				what := fmt.Sprintf("m=%d n=%d k=%d %+v", z.m, z.n, z.k, p)
				x, y, bias := s.floats(z.m, z.k, s.normal), s.floats(z.m, z.n, s.normal), s.floats(1, z.n, s.normal)
				w := s.halves(z.k, z.n, s.normal)
				if transB {
					w = s.halves(z.n, z.k, s.normal)
				}
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					p.Bias = at(bias)
					be.MatMul(at(y), at(x), at(w), p)
				})
				s.same("matmul", what, y)
				s.finish(what)
			}
		}
	}},
	// An embedding table is read row by row and never multiplied: it may stay bfloat16 where
	// nothing else may.
	{"bf16 gather_rows", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			src, dst := s.halves(9, c, s.normal), s.floats(r, c, junk)
			idx := s.ints(r, 1, s.randomInts(r, -2, 8))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.GatherRows(at(dst), at(src), at(idx)) })
			s.same("gather_rows", what, dst)
		})
	}},
	{"bf16 linear_ce", func(s *suite) {
		for _, z := range headShapes {
			for which := range 2 { // a frozen head gets no gradient
				what := fmt.Sprintf("%+v gradients=%02b", z, which)
				h, w := s.floats(z.t, z.d, s.normal), s.halves(z.vocab, z.d, s.normal)
				target := s.ints(z.t, 1, s.randomInts(z.t, 0, int64(z.vocab-1)))
				loss, weight := s.floats(z.t, 1, junk), s.floats(z.t, 1, s.rowWeights)
				dh, _ := s.gradients(z, which)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					be.LinearCE(at(loss), at(dh), backend.Tensor{}, at(h), at(w), at(target), at(weight))
				})
				s.same("linear_ce", what, loss)
				s.same("linear_backward", what, dh)
				s.finish(what)
			}
		}
	}},
	{"bf16 linear_kl", func(s *suite) {
		for i, z := range headShapes {
			for which := range 2 {
				what := fmt.Sprintf("%+v gradients=%02b", z, which)
				h, w := s.floats(z.t, z.d, s.half), s.halves(z.vocab, z.d, s.half)
				ht, wt := s.floats(z.t, z.dt, s.half), s.halves(z.vocab, z.dt, s.half)
				switch {
				// One tensor on both sides is how a student and its teacher share a frozen head.
				case z.dt == z.d && which == 0:
					wt, what = w, what+" one head"
				case i%2 == 1: // a trained student beside a frozen teacher
					w, what = s.floats(z.vocab, z.d, s.half), what+" f32 student"
				}
				loss, weight := s.floats(z.t, 1, junk), s.floats(z.t, 1, s.rowWeights)
				dh, _ := s.gradients(z, which)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					// Scale is the square of the temperature, as distillation has it (Hinton et al.
					// 2015).
					be.LinearKL(at(loss), at(dh), backend.Tensor{}, at(h), at(w), at(ht), at(wt), at(weight), backend.KL{TeacherTemp: 2, StudentTemp: 2, Scale: 4})
				})
				s.same("linear_kl", what, loss)
				s.same("linear_backward", what, dh)
				s.finish(what)
			}
		}
	}},
	{"bf16 activations", bf16Activations},
	{"adopted memory", adopted},
}

// bf16Activations checks that a product of two BF16 operands agrees with the
// reference or fails, and is never wrong.
// An error leaves the device unusable, errors being sticky, and ends the part.
func bf16Activations(s *suite) {
	x, w, y := s.halves(9, 16, s.normal), s.halves(12, 16, s.normal), s.dense(9, 12, junk)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.MatMul(at(y), at(x), at(w), backend.MatMul{TransB: true, Alpha: 1})
	})
	if err := s.dev.Sync(); err != nil {
		s.t.Logf("%s takes no bf16 activations: %v", s.dev.Name(), err)
		s.made = nil // nothing can be read back from a failed backend
		return
	}
	s.same("matmul", "of two bf16 operands", y)
}

// adopted checks a backend that takes memory of others: what it reads there,
// and that it refuses to write to it. The reference takes none, and answers with the same values in
// memory of its own.
// Adopted memory is a mapped weight file in the program: little-endian values, aligned to their
// element and to nothing else, and read-only.
func adopted(s *suite) {
	if s.why != recorded && !s.dev.Traits().Adopts {
		s.t.Logf("%s adopts no memory", s.dev.Name())
		return
	}
	for _, dt := range []backend.DType{backend.F32, backend.BF16} {
		values := make([]float32, 3*5)
		for i := range values {
			values[i] = roundBF16(float32(s.normal()))
		}
		drawn := 0
		x, y := s.dense(2, 5, s.normal), s.dense(2, 3, junk)
		w := s.dense(3, 5, func() float64 { drawn++; return float64(values[drawn-1]) }).dev
		if s.why != recorded {
			w = backend.View(s.adopt(dt, values), 0, 3, 5)
		}
		s.dev.MatMul(y.dev, x.dev, w, backend.MatMul{TransB: true, Alpha: 1})
		s.same("matmul", "of adopted memory", y)
		s.finish("adopted memory")
		if s.why != recorded {
			s.dev.Free(w.Buf)
		}
	}
}

// adopt gives the device memory that holds values, and sees that it reads them there.
func (s *suite) adopt(dt backend.DType, values []float32) backend.Buffer {
	s.t.Helper()
	mem := make([]byte, len(values)*dt.Size()+8)
	// Not on a multiple of 8: files keep tensors on multiples of their element.
	host := mem[8-dt.Size() : len(mem)-dt.Size()]
	for i, v := range values {
		// A bfloat16 is the upper half of a float32, little-endian as in safetensors.
		bits := math.Float32bits(v) >> (32 - 8*dt.Size())
		for b := range dt.Size() {
			host[i*dt.Size()+b] = byte(bits >> (8 * b))
		}
	}
	// A truncated file must be refused here; beyond its end the mapping has no pages.
	if _, err := s.dev.Adopt(dt, host[:len(host)-1]); err == nil {
		s.t.Errorf("half an element of %v is adopted", dt)
	}
	buf, err := s.dev.Adopt(dt, host)
	if err != nil {
		s.t.Fatalf("Adopt(%v): %v", dt, err)
	}
	got := make([]float32, len(values))
	if err := s.dev.Download(got, backend.View(buf, 0, 1, len(values))); err != nil {
		s.t.Fatalf("%v", err)
	}
	for i, v := range got {
		if v != values[i] {
			s.t.Fatalf("adopted %v memory: element %d is %v, want %v", dt, i, v, values[i])
		}
	}
	return buf
}
