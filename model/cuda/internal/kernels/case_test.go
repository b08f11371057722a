package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"vgid/model/backend"
	"vgid/model/ref"
)

// A suite compares kernels on a runner with the float64 reference backend. It
// stops at the first difference, which err keeps.
type suite struct {
	h       *host
	ref     *ref.Backend
	rng     *rand.Rand
	tensors []*tensor
	anyGrid bool // the kernels loop over what their grid does not cover: try smaller ones
	err     error
}

// tensor is one operand on both sides, the same values in the same places.
type tensor struct {
	t      backend.Tensor // of the reference
	at     uint64         // address of the first element of the view
	base   uint64         // of the buffer
	before []byte         // the buffer as it was written
	output bool
}

// cells are the two parameters of a matrix; none for an operand not given.
func (x *tensor) cells() []any {
	if x == nil {
		return []any{uint64(0), uint64(0)}
	}
	return []any{x.at, Layout(x.t.Stride, x.t.Buf.DType())}
}

// tensor of the reference, zero when not given.
func (x *tensor) view() backend.Tensor {
	if x == nil {
		return backend.Tensor{}
	}
	return x.t
}

func newSuite(h *host, seed uint64) *suite {
	h.seed = int(seed % 7)
	return &suite{h: h, ref: ref.New(), rng: rand.New(rand.NewPCG(seed, 99))}
}

func (s *suite) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *suite) normal() float64  { return s.rng.NormFloat64() }
func (s *suite) uniform() float64 { return s.rng.Float64() }
func junk() float64               { return math.NaN() }

// floats makes a matrix somewhere in a buffer that ends with it: the next
// access faults. Gaps between rows are NaN.
func (s *suite) floats(dt backend.DType, rows, cols int, gen func() float64) *tensor {
	stride, off := cols, 0
	if s.rng.IntN(2) == 0 {
		stride += s.rng.IntN(9)
		off = s.rng.IntN(6)
	}
	return s.place(dt, rows, cols, stride, off, gen)
}

// dense makes a matrix whose rows follow each other from the start of a buffer.
func (s *suite) dense(dt backend.DType, rows, cols int, gen func() float64) *tensor {
	return s.place(dt, rows, cols, cols, 0, gen)
}

func (s *suite) place(dt backend.DType, rows, cols, stride, off int, gen func() float64) *tensor {
	n := off
	if rows > 0 {
		n += (rows-1)*stride + cols
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(math.NaN())
	}
	for r := range rows {
		for c := range cols {
			values[off+r*stride+c] = float32(gen())
		}
	}
	raw := encode(dt, values)
	x := &tensor{before: raw}
	buf, err := s.ref.Alloc(dt, n)
	if err != nil {
		s.fail("%v", err)
		return x
	}
	s.ref.Upload(backend.View(buf, 0, 1, n), decode(dt, raw))
	x.t = backend.Tensor{Buf: buf, Off: off, Rows: rows, Cols: cols, Stride: stride}
	x.base = s.memory(raw)
	x.at = x.base + uint64(off*dt.Size())
	s.tensors = append(s.tensors, x)
	return x
}

// memory is a buffer of the runner with these bytes.
func (s *suite) memory(raw []byte) uint64 {
	if s.err != nil {
		return 0
	}
	at, err := s.h.alloc(len(raw))
	if err == nil {
		err = s.h.write(at, raw)
	}
	if err != nil {
		s.fail("%v", err)
	}
	return at
}

// scratch is memory that holds nonsense.
func (s *suite) scratch(bytes int) uint64 {
	raw := make([]byte, bytes)
	for i := range raw {
		raw[i] = 0xFF
	}
	return s.memory(raw)
}

// integers makes I32 values on both sides, [len/cols, cols], dense.
func (s *suite) integers(cols int, v ...int32) *tensor {
	raw := make([]byte, 0, 4*len(v))
	for _, n := range v {
		raw = append(raw, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	buf, err := s.ref.Alloc(backend.I32, len(v))
	if err != nil {
		s.fail("%v", err)
		return nil
	}
	view := backend.View(buf, 0, len(v)/cols, cols)
	s.ref.UploadInts(view, v)
	at := s.memory(raw)
	x := &tensor{t: view, at: at, base: at, before: raw}
	s.tensors = append(s.tensors, x)
	return x
}

// launch runs a kernel; a *tensor among the arguments stands for its two
// parameters.
func (s *suite) launch(name string, g Geometry, args ...any) {
	if s.err != nil {
		return
	}
	// Only here the number of blocks is the number of parts.
	if s.anyGrid && name != "sum_squares_parts" && s.rng.IntN(3) == 0 {
		for i, n := range g.Grid {
			g.Grid[i] = min(n, 1+s.rng.IntN(max(1, n)))
		}
	}
	var flat []any
	for _, a := range args {
		if x, ok := a.(*tensor); ok {
			flat = append(flat, x.cells()...)
			continue
		}
		flat = append(flat, a)
	}
	if err := s.h.launch(name, g, flat...); err != nil {
		s.fail("%v", err)
	}
}

// same compares an output with the reference, everything in between rows
// with what was there, and notes that it may differ from what was written.
func (s *suite) same(what string, rel, abs float64, xs ...*tensor) {
	for i, x := range xs {
		if s.err != nil || x == nil {
			continue
		}
		if err := s.ref.Sync(); err != nil {
			s.fail("%s: the reference: %v", what, err)
			return
		}
		x.output = true
		dt := x.t.Buf.DType()
		raw, err := s.h.read(x.base, len(x.before))
		if err != nil {
			s.fail("%v", err)
			return
		}
		got, before := decode(dt, raw), decode(dt, x.before)
		inside := make([]bool, len(got))
		for r := range x.t.Rows {
			for c := range x.t.Cols {
				at := x.t.Off + r*x.t.Stride + c
				inside[at] = true
				want := s.ref.At(x.t, r, c)
				tol := rel
				if dt == backend.BF16 {
					tol += 1.0 / 128 // one unit of the last place, for what rounds the other way
				}
				if g := float64(got[at]); !(math.Abs(g-want) <= abs+tol*math.Abs(want) || g == want || g != g && want != want) {
					s.fail("%s: output %d %v, element (%d, %d): %v, want %v", what, i, x.t, r, c, g, want)
					return
				}
			}
		}
		for at, in := range inside {
			if !in && math.Float32bits(got[at]) != math.Float32bits(before[at]) {
				s.fail("%s: output %d %v was written outside its view, at %d", what, i, x.t, at)
				return
			}
		}
	}
}

// finish checks that inputs are unchanged and frees everything.
func (s *suite) finish(what string) {
	for _, x := range s.tensors {
		if s.err != nil {
			return
		}
		if x.output {
			continue
		}
		raw, err := s.h.read(x.base, len(x.before))
		if err != nil {
			s.fail("%v", err)
		} else if string(raw) != string(x.before) {
			s.fail("%s: an input %v was written", what, x.t)
		}
	}
	s.tensors = nil
	if err := s.h.reset(); err != nil && s.err == nil {
		s.fail("%s: %v", what, err)
	}
}

// dtype draws the element type of an operand.
func (s *suite) dtype() backend.DType {
	if s.rng.IntN(2) == 0 {
		return backend.BF16
	}
	return backend.F32
}

// A kernelCase compares one or more kernels with the reference on a matrix of
// a random shape.
type kernelCase struct {
	name string
	run  func(s *suite, rows, cols int)
}

func kernelCases() []kernelCase {
	var all []kernelCase
	for _, group := range [][]kernelCase{elementwiseCases, randomCases, rearrangeCases, rowCases, normCases, reductionCases} {
		all = append(all, group...)
	}
	return all
}

// shapes of the matrices that cases run on: empty, tiny, around the sizes of
// vectors, warps and blocks, and more rows or columns than a block covers.
var shapes = [][2]int{{0, 5}, {3, 0}, {1, 1}, {2, 4}, {5, 31}, {7, 33}, {300, 3}, {33, 64}, {3, 1027}, {17, 128}, {70, 260}}

// runCase runs a case on every shape and gives the first difference.
func runCase(h *host, c kernelCase, seed uint64) error {
	for i, shape := range shapes {
		s := newSuite(h, seed+uint64(i))
		what := fmt.Sprintf("%s [%d, %d]", c.name, shape[0], shape[1])
		s.anyGrid = true
		c.run(s, shape[0], shape[1])
		s.finish(what)
		if s.err != nil {
			return fmt.Errorf("%s, seed %d: %w", what, h.seed, s.err)
		}
	}
	return nil
}

func TestKernels(t *testing.T) { testKernels(t, 3) }

// TestKernelsUndefined looks for undefined behaviour in the C++ sense: shifts,
// overflow, misalignment, bounds. What the sanitizer says fails the test. Nothing is optimised: what it
// looks for is put in before that, and the compiler takes a third of the time.
func TestKernelsUndefined(t *testing.T) {
	testKernels(t, 1, "-O0", "-fsanitize=undefined")
}

func testKernels(t *testing.T, seeds uint64, flags ...string) {
	path := program(t, compiled(t, flags...), flags...)
	for _, c := range kernelCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, path)
			for seed := range seeds {
				if err := runCase(h, c, 1000*seed); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
