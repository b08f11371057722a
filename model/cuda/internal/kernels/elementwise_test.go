package kernels

import "vgid/model/backend"

// flat launches an element-wise kernel as a backend does: on matrices seen as
// one row where that is possible.
func (s *suite) flat(name string, tensors []*tensor, args ...any) {
	rows, cols := tensors[0].t.Rows, tensors[0].t.Cols
	var strides []int
	for _, x := range tensors {
		strides = append(strides, x.t.Stride)
	}
	r, c := Flatten(rows, cols, strides...)
	s.launch(name, Elementwise(r, c), append(args, r, c)...)
}

// steep gives numbers of every size that activations see.
func (s *suite) steep() float64 {
	switch s.rng.IntN(8) {
	case 0:
		return 20 * s.normal()
	case 1:
		return 1e-4 * s.normal()
	case 2:
		return []float64{0, 120, -120, 13.4, -13.4, 88, -88}[s.rng.IntN(7)]
	}
	return 2 * s.normal()
}

var elementwiseCases = []kernelCase{
	{"fill", func(s *suite, rows, cols int) {
		x, v := s.floats(s.dtype(), rows, cols, junk), float32(s.normal())
		s.flat("fill", []*tensor{x}, x, v)
		s.ref.Fill(x.t, v)
		s.same("fill", 1e-7, 0, x)
		n := s.integers(1, make([]int32, rows*cols)...)
		s.flat("fill", []*tensor{n}, n, float32(-7))
		for _, v := range s.readInts(n.base, rows*cols) {
			if v != -7 {
				s.fail("fill: an integer is %d, want -7", v)
			}
		}
		n.output = true
	}},
	{"copy", func(s *suite, rows, cols int) {
		x, y := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, junk)
		s.flat("copy", []*tensor{x, y}, y, x)
		s.ref.Copy(y.t, x.t)
		exact := 0.0
		if y.t.Buf.DType() == backend.BF16 {
			exact = -1.0 / 128 // both round the same way
		}
		s.same("copy", exact, 0, y)
	}},
	{"add", func(s *suite, rows, cols int) {
		a, b, y := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, junk)
		s.flat("add", []*tensor{y, a, b}, y, a, b)
		s.ref.Add(y.t, a.t, b.t)
		s.same("add", 1e-6, 1e-7, y)
		s.flat("add", []*tensor{a, b}, a, a, b)
		s.ref.Add(a.t, a.t, b.t)
		s.same("add in place", 1e-6, 1e-7, a)
	}},
	{"axpy", func(s *suite, rows, cols int) {
		x, y, alpha := s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, s.normal), float32(s.normal())
		s.flat("axpy", []*tensor{y, x}, y, alpha, x)
		s.ref.Axpy(y.t, alpha, x.t)
		s.same("axpy", 1e-6, 1e-6, y)
	}},
	{"scale", func(s *suite, rows, cols int) {
		x, alpha := s.floats(s.dtype(), rows, cols, s.normal), float32(s.normal())
		s.flat("scale", []*tensor{x}, x, alpha)
		s.ref.Scale(x.t, alpha)
		s.same("scale", 1e-6, 0, x)
	}},
	{"activate", func(s *suite, rows, cols int) {
		for f := backend.GELU; f <= backend.SiLU; f++ {
			x, y := s.floats(s.dtype(), rows, cols, s.steep), s.floats(s.dtype(), rows, cols, junk)
			s.flat("activate", []*tensor{y, x}, y, x, int(f))
			s.ref.Activate(y.t, x.t, f)
			s.same("activate "+f.String(), 2e-6, 1e-7, y)
		}
	}},
	{"activate_backward", func(s *suite, rows, cols int) {
		for f := backend.GELU; f <= backend.SiLU; f++ {
			x, dy, dx := s.floats(s.dtype(), rows, cols, s.steep), s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, junk)
			s.flat("activate_backward", []*tensor{dx, dy, x}, dx, dy, x, int(f))
			s.ref.ActivateBackward(dx.t, dy.t, x.t, f)
			s.same("activate_backward "+f.String(), 5e-6, 1e-6, dx)
			s.flat("activate_backward", []*tensor{dy, x}, dy, dy, x, int(f))
			s.ref.ActivateBackward(dy.t, dy.t, x.t, f)
			s.same("activate_backward in place "+f.String(), 5e-6, 1e-6, dy)
		}
	}},
	{"swiglu", func(s *suite, rows, cols int) {
		gate, up, y := s.floats(s.dtype(), rows, cols, s.steep), s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, junk)
		s.flat("swiglu", []*tensor{y, gate, up}, y, gate, up)
		s.ref.SwiGLU(y.t, gate.t, up.t)
		s.same("swiglu", 2e-6, 1e-7, y)
	}},
	{"swiglu_backward", func(s *suite, rows, cols int) {
		gate, up, dy := s.floats(s.dtype(), rows, cols, s.steep), s.floats(s.dtype(), rows, cols, s.normal), s.floats(s.dtype(), rows, cols, s.normal)
		dgate, dup := s.floats(s.dtype(), rows, cols, junk), s.floats(s.dtype(), rows, cols, junk)
		s.flat("swiglu_backward", []*tensor{dgate, dup, dy, gate, up}, dgate, dup, dy, gate, up)
		s.ref.SwiGLUBackward(dgate.t, dup.t, dy.t, gate.t, up.t)
		s.same("swiglu_backward", 5e-6, 1e-6, dgate, dup)
	}},
}

func (s *suite) key() backend.Key {
	return backend.Key{Seed: s.rng.Uint64(), Step: s.rng.Uint32(), Site: s.rng.Uint32()}
}

func (s *suite) ids(n int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(s.rng.Uint32())
	}
	return v
}

var randomCases = []kernelCase{
	{"random", func(s *suite, rows, cols int) {
		for _, dist := range []backend.Distribution{backend.Uniform, backend.Normal} {
			key, dt := s.key(), s.dtype()
			lo, hi, site := PhiloxKey(key)
			x, ids := s.floats(dt, rows, cols, junk), s.integers(1, s.ids(rows)...)
			s.launch("random", Elementwise(rows, cols), x, int(dist), lo, hi, site, ids.at, 1, rows, cols)
			s.ref.Random(x.t, dist, key, ids.t)
			rel, abs := 0.0, 0.0 // uniform numbers are equal to the bit
			if dist == backend.Normal {
				rel = 1.2e-7 // the last bit of an f32
			}
			if dt == backend.BF16 && dist == backend.Uniform {
				rel = -1.0 / 128
			}
			s.same("random", rel, abs, x)
		}
	}},
	{"dropout", func(s *suite, rows, cols int) {
		p := []float32{0, 0.05, 0.5, 0.9}[s.rng.IntN(4)]
		key := s.key()
		lo, hi, site := PhiloxKey(key)
		x, y := s.floats(s.dtype(), rows, cols, func() float64 { return 1 + s.uniform() }), s.floats(s.dtype(), rows, cols, junk)
		ids := s.integers(2, s.ids(2*rows)...)
		s.launch("dropout", Elementwise(rows, cols), y, x, p, 1/(1-p), lo, hi, site, ids.at, 2, rows, cols)
		s.ref.Dropout(y.t, x.t, p, key, ids.t)
		s.same("dropout", 1e-6, 0, y)
	}},
}

var rearrangeCases = []kernelCase{
	{"rope", func(s *suite, rows, cols int) {
		heads := 1 + s.rng.IntN(5)
		half := cols/heads + 1
		x := s.floats(s.dtype(), rows, heads*2*half, s.normal)
		dt := s.dtype()
		cos, sin := s.floats(dt, rows, half, s.normal), s.floats(dt, rows, half, s.normal)
		for _, inverse := range []bool{false, true} {
			sign := float32(1)
			if inverse {
				sign = -1
			}
			s.launch("rope", RoPE(rows, heads, half), x, cos, sin, heads, half, sign, rows)
			s.ref.RoPE(x.t, cos.t, sin.t, heads, inverse)
			s.same("rope", 1e-6, 2e-6*8, x)
			if x.t.Buf.DType() == backend.BF16 {
				break // a second rounding doubles the error
			}
		}
	}},
	{"patchify", func(s *suite, rows, cols int) {
		images, channels, patch := rows%4, 1+s.rng.IntN(3), 1+s.rng.IntN(5)
		down, across := 1+s.rng.IntN(4), 1+cols%5
		x := s.floats(s.dtype(), images, channels*down*patch*across*patch, s.normal)
		n, width := images*down*across, channels*patch*patch
		y := s.floats(s.dtype(), n, width, junk)
		s.launch("patchify", Elementwise(n, width), y, x, channels, down*patch, across*patch, patch, n)
		s.ref.Patchify(y.t, x.t, channels, down*patch, across*patch, patch)
		s.same("patchify", 0, 0, y)
	}},
}
