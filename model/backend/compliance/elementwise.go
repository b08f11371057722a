package compliance

import (
	"fmt"
	"math"
	"slices"

	"vgid/model/backend"
)

// rounds is how many random shapes an operation is tried on.
const rounds = 12

// shapes calls f with random shapes, an empty one first and a large one last,
// and cleans up after each.
// The large one spans several chunks of work.
func (s *suite) shapes(f func(rows, cols int, what string)) {
	for i := range rounds {
		r, c := s.size(), s.size()
		switch i {
		case 0:
			r = 0
		case rounds - 1:
			r, c = 257, 384
		}
		what := fmt.Sprintf("[%d, %d]", r, c)
		f(r, c, what)
		s.finish(what)
	}
}

// They come first: every other part relies on what is uploaded and downloaded.
var storage = []one{
	{"upload and download", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			// What a twin's making uploads is the whole buffer; same reads it back through the
			// view.
			x := s.floats(r, c, s.normal)
			n := s.ints(r, c, s.randomInts(r*c, math.MinInt32, math.MaxInt32))
			s.same("upload", what, x, n)
			// Once more into and out of the view alone, row by row.
			host, hostInts := make([]float32, r*c), s.randomInts(r*c, math.MinInt32, math.MaxInt32)
			for i := range host {
				host[i] = float32(s.normal())
			}
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.Upload(at(x), host)
				be.UploadInts(at(n), hostInts)
			})
			s.same("upload", what+" of a view", x, n)
			got := make([]int32, r*c)
			if err := s.dev.DownloadInts(got, n.dev); err != nil {
				s.t.Fatalf("%v", err)
			}
			if !slices.Equal(got, hostInts) {
				s.t.Errorf("download_ints %s of a view with stride %d gives %v, want %v", what, n.dev.Stride, got, hostInts)
			}
		})
	}},
	// Freed memory is handed out again by devices that pool it: the second and third time it is
	// dirty.
	{"allocated memory is zero", func(s *suite) {
		for range 3 {
			b := s.alloc(s.dev, backend.F32, 5000)
			x := backend.View(b, 0, 50, 100)
			got := make([]float32, x.Len())
			if err := s.dev.Download(got, x); err != nil {
				s.t.Fatalf("%v", err)
			}
			for i, v := range got {
				if v != 0 {
					s.t.Fatalf("element %d of a new buffer is %v", i, v)
				}
			}
			s.dev.Fill(x, 7)
			s.dev.Free(b)
		}
	}},
	{"bf16 storage", bf16Storage},
}

// bf16Storage checks rounding to the nearest, ties to even, on the way in by
// upload, fill and copy, and that the way out is exact.
// The cases are the borders: exact values, ties to either side, the largest float32 (which rounds
// to infinity) and a subnormal.
func bf16Storage(s *suite) {
	ulp := math.Ldexp(1, -7) // of bfloat16 at 1
	cases := []struct{ in, want float64 }{
		{0, 0}, {1, 1}, {-1, -1}, {1 + ulp, 1 + ulp},
		{1 + ulp/2, 1}, {1 + 3*ulp/2, 1 + 2*ulp}, {-1 - ulp/2, -1},
		{1 + ulp*0.51, 1 + ulp}, {1 + ulp*0.49, 1},
		{math.Inf(1), math.Inf(1)}, {math.Inf(-1), math.Inf(-1)}, {math.NaN(), math.NaN()},
		{math.MaxFloat32, math.Inf(1)}, {math.Ldexp(1, -133), math.Ldexp(1, -133)},
		{3.14159265, 3.140625}, {-2.71828183, -2.71875},
	}
	in := make([]float32, len(cases))
	for i, c := range cases {
		in[i] = float32(c.in)
	}
	// Against constants and not the reference, which keeps float64 and rounds nothing.
	wide := backend.View(s.alloc(s.dev, backend.F32, len(in)), 0, 1, len(in))
	s.dev.Upload(wide, in)
	uploaded, copied, filled, back := s.bf16(len(in)), s.bf16(len(in)), s.bf16(len(in)), backend.View(s.alloc(s.dev, backend.F32, len(in)), 0, 1, len(in))
	s.dev.Upload(uploaded, in)
	s.dev.Copy(copied, wide)
	s.dev.Copy(back, copied)
	for i, v := range in {
		s.dev.Fill(filled.ColRange(i, i+1), v)
	}
	for _, way := range []struct {
		name string
		t    backend.Tensor
	}{{"upload", uploaded}, {"copy", copied}, {"fill", filled}, {"copy back to f32", back}} {
		got := make([]float32, len(in))
		if err := s.dev.Download(got, way.t); err != nil {
			s.t.Fatalf("%v", err)
		}
		for i, c := range cases {
			if !near(float64(got[i]), c.want, tolerance{}) {
				s.t.Errorf("%s of %v to bf16 gives %v, want %v", way.name, in[i], got[i], c.want)
			}
		}
	}
}

// Operations that may work in place are tried into each operand: a kernel that writes before it
// has read all fails only there.
var elementwise = []one{
	{"fill", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, n := s.floats(r, c, junk), s.ints(r, c, make([]int32, r*c))
			v := pick(s.rng, 0, -0.5, float32(math.Pi))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.Fill(at(x), v)
				be.Fill(at(n), 3)
			})
			// Floats are compared here: a filled value is rounded to float32 once and has to be
			// that exactly.
			if s.same("fill", what, n); r*c > 0 {
				got := make([]float32, r*c)
				if err := s.dev.Download(got, x.dev); err != nil {
					s.t.Fatalf("%v", err)
				}
				for i, g := range got {
					if g != v {
						s.t.Fatalf("fill %s with %v: element %d is %v", what, v, i, g)
					}
				}
			}
			// same has not marked it, and finish would take the filled view for a changed input.
			x.output = true
		})
	}},
	{"copy", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, y := s.floats(r, c, s.normal), s.floats(r, c, junk)
			n, m := s.ints(r, c, s.randomInts(r*c, -99, 99)), s.ints(r, c, make([]int32, r*c))
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.Copy(at(y), at(x))
				be.Copy(at(m), at(n))
			})
			s.same("copy", what, y, m)
		})
	}},
	{"add", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			a, b, y := s.floats(r, c, s.normal), s.floats(r, c, s.normal), s.floats(r, c, junk)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Add(at(y), at(a), at(b)) })
			s.same("add", what, y)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Add(at(a), at(a), at(b)) })
			s.same("add", what+" into a", a)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Add(at(b), at(a), at(b)) })
			s.same("add", what+" into b", b)
		})
	}},
	{"axpy and scale", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			x, y := s.floats(r, c, s.normal), s.floats(r, c, s.normal)
			alpha := pick(s.rng, float32(1), -0.3, 2)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Axpy(at(y), alpha, at(x)) })
			s.same("axpy", what, y)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Scale(at(x), alpha) })
			s.same("scale", what, x)
		})
	}},
	{"activations", func(s *suite) {
		for _, f := range []backend.Activation{backend.GELU, backend.GELUTanh, backend.QuickGELU, backend.SiLU} {
			s.shapes(func(r, c int, what string) {
				what = f.String() + " " + what
				x, y, dy, dx := s.floats(r, c, s.steep), s.floats(r, c, junk), s.floats(r, c, s.normal), s.floats(r, c, junk)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Activate(at(y), at(x), f) })
				s.same("activate", what, y)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ActivateBackward(at(dx), at(dy), at(x), f) })
				s.same("activate_backward", what, dx)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.ActivateBackward(at(dy), at(dy), at(x), f) })
				s.same("activate_backward", what+" into dy", dy)
			})
		}
	}},
	{"activations of nan", func(s *suite) {
		// A NaN is a broken run: no operation may turn it into a number.
		for _, f := range []backend.Activation{backend.GELU, backend.GELUTanh, backend.QuickGELU, backend.SiLU} {
			x, y := s.floats(3, 17, junk), s.floats(3, 17, s.normal)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.Activate(at(y), at(x), f) })
			s.same("activate", f.String()+" of NaN", y)
		}
	}},
	{"swiglu", func(s *suite) {
		s.shapes(func(r, c int, what string) {
			// gate and up are the two halves of one projection, as models keep
			// them.
			drawn := 0
			both := s.floats(r, 2*c, func() float64 {
				drawn++
				if (drawn-1)%(2*c) < c {
					return s.steep()
				}
				return s.normal()
			})
			gate, up := both.cols(0, c), both.cols(c, 2*c)
			y, dy, dgate, dup := s.floats(r, c, junk), s.floats(r, c, s.normal), s.floats(r, c, junk), s.floats(r, c, junk)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) { be.SwiGLU(at(y), at(gate), at(up)) })
			s.same("swiglu", what, y)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.SwiGLUBackward(at(dgate), at(dup), at(dy), at(gate), at(up))
			})
			s.same("swiglu_backward", what, dgate, dup)
		})
	}},
	{"swiglu with extreme up", func(s *suite) {
		// What rounding silu and silu' costs is proportional to their factor.
		s.shapes(func(r, c int, what string) {
			gate, dy := s.floats(r, c, s.steep), s.floats(r, c, s.normal)
			// Powers of ten as far as the product stays in float32's range.
			up := s.floats(r, c, func() float64 { return s.normal() * math.Pow(10, pick(s.rng, -20.0, -5, 0, 3, 6, 20)) })
			y, dgate, dup := s.floats(r, c, junk), s.floats(r, c, junk), s.floats(r, c, junk)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.SwiGLU(at(y), at(gate), at(up))
				be.SwiGLUBackward(at(dgate), at(dup), at(dy), at(gate), at(up))
			})
			size := func(factors ...*twin) func(r, c int) float64 {
				return func(r, c int) float64 {
					v := 1.0
					for _, f := range factors {
						v *= math.Abs(f.input(r, c))
					}
					return v + 1e-30 // less may be flushed to 0
				}
			}
			s.sameScaled("swiglu", what, size(up), y)
			s.sameScaled("swiglu_backward", what, size(dy, up), dgate)
			s.sameScaled("swiglu_backward", what, size(dy), dup)
		})
	}},
	{"swiglu of nan", func(s *suite) {
		ordinary := func() float64 { return 1 + s.uniform() }
		// In one operand at a time: the others must not hide it, nor must it spread to where it
		// does not belong.
		for _, nan := range []string{"gate", "up", "dy"} {
			draw := map[string]func() float64{"gate": ordinary, "up": ordinary, "dy": ordinary}
			draw[nan] = junk
			gate, up, dy := s.floats(3, 17, draw["gate"]), s.floats(3, 17, draw["up"]), s.floats(3, 17, draw["dy"])
			y, dgate, dup := s.floats(3, 17, s.normal), s.floats(3, 17, s.normal), s.floats(3, 17, s.normal)
			s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
				be.SwiGLU(at(y), at(gate), at(up))
				be.SwiGLUBackward(at(dgate), at(dup), at(dy), at(gate), at(up))
			})
			s.same("swiglu", "NaN in "+nan, y)
			s.same("swiglu_backward", "NaN in "+nan, dgate, dup)
			s.finish("swiglu of nan")
		}
	}},
}
