// Package compliance is the one suite that every backend passes: each
// operation of backend.Backend against the float64 reference on odd shapes and
// strided views, against golden values from PyTorch, and the three rules of
// the interface (operations do not return errors but the first one sticks;
// nothing outside a view is read into a result or written; the same inputs
// give the same bits).
//
// BF16 must be stored, filled, copied and moved to and from the host, and taken
// where frozen weights stand: as the second operand of MatMul, the source of
// GatherRows and the heads of LinearCE and LinearKL. Whether other operations
// take BF16 operands is the backend's choice: it computes the same as the
// reference or fails with an error.
package compliance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vgid/model/backend"
	"vgid/model/ref"
)

// tolerance bounds |got - want| by Abs + Rel·|want|.
// The bound is on a value's distance from float64 arithmetic: Rel for what rounding costs in
// proportion to it, Abs for sums that cancel.
type tolerance struct{ Rel, Abs float64 }

// tolerances of the operations in float32 on inputs of size about 1, rows of
// up to a few hundred elements. An operation that is not here must be exact.
var tolerances = map[string]tolerance{
	"add":                 {1e-6, 1e-7},
	"axpy":                {1e-6, 1e-6},
	"scale":               {1e-6, 0},
	"matmul":              {1e-5, 3e-5},
	"sum_rows":            {1e-5, 1e-5},
	"scatter_add_rows":    {1e-5, 1e-6},
	"rms_norm":            {1e-5, 1e-6},
	"rms_norm_backward":   {1e-4, 1e-5},
	"layer_norm":          {1e-5, 1e-5},
	"layer_norm_backward": {1e-4, 2e-5},
	"layer_norm_offset":   {1e-3, 2e-3}, // the mean itself is rounded to 2e-4
	"activate":            {1e-5, 1e-6},
	"activate_backward":   {1e-5, 2e-6},
	"swiglu":              {1e-5, 1e-6},
	"swiglu_backward":     {1e-5, 2e-6},
	"dropout":             {1e-6, 0},
	"random_normal":       {1e-6, 1e-7}, // libraries differ in the last bit of log and sin
	"rope":                {1e-6, 1e-6},
	"attention":           {2e-5, 1e-5},
	"attention_backward":  {1e-4, 5e-5},
	"linear_ce":           {2e-5, 2e-5},
	"linear_kl":           {1e-4, 2e-5},
	"linear_backward":     {1e-4, 5e-5}, // the gradients of linear_ce and linear_kl
	// Scores and logits of some hundreds carry errors of their own size times
	// 1e-7 into the exponent.
	"attention_backward_large": {1e-3, 3e-3},
	"linear_large":             {1e-4, 1e-4},
	"linear_backward_large":    {1e-3, 1e-3},
	"linear_kl_zero":           {0, 1e-5},

	"sum_squares": {1e-5, 1e-6},
	"adamw":       {1e-5, 1e-6},
}

// reporter is the part of *testing.T that checks report to. A test of the suite
// itself records instead, to see that broken backends are found out.
type reporter interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // does not return
	Failed() bool
}

// reference is the float64 backend, whose values can be read in full.
// The suite reads single elements of it, where a device gives whole views.
type reference interface {
	backend.Backend
	At(t backend.Tensor, r, c int) float64
}

// one is a named part of the suite.
// A part draws its own inputs, calls the operation on both sides and compares. It may do so many
// times; what it placed is checked and freed by finish after each.
type one struct {
	name string
	run  func(*suite)
}

// all is the suite in its fixed order. Mutants of the tests name parts of it, so each name is
// unique.
func all() []one {
	var cases []one
	for _, group := range [][]one{storage, elementwise, matmul, rows, norms, random, attention, heads, bf16Weights, optimizer, goldens} {
		cases = append(cases, group...)
	}
	return cases
}

// Run runs the whole suite on backends made by open, which registers its own
// cleanup. Each test opens a backend of its own.
// Mistakes come on backends of their own as well: a sticky error would end the others.
func Run(t *testing.T, open func(t *testing.T) backend.Backend) {
	for _, c := range all() {
		t.Run(c.name, func(t *testing.T) {
			check(t, open(t), ref.New(), c)
		})
	}
	for _, m := range slices.Concat(mistakes, wrongValues) {
		t.Run("errors/"+m.name, func(t *testing.T) { checkMistake(t, open(t), m) })
	}
}

// check runs one part twice on one backend: beside the reference, and again
// alone, for the same bits.
// The second play has to draw the same inputs as the first, and the device may be in another
// state by then: workspaces grown, caches filled, threads awake.
func check(t reporter, dev backend.Backend, reference reference, c one) {
	first := play(t, dev, reference, c)
	if again := play(t, dev, nil, c); !t.Failed() {
		sameBits(t, first, again)
	}
}

// SameBits checks that two ways to open a backend (one thread and several)
// give bit-equal results over the whole suite.
// A sum split among threads has to be added up in an order that does not depend on their number.
func SameBits(t *testing.T, a, b func(t *testing.T) backend.Backend) {
	for _, c := range all() {
		t.Run(c.name, func(t *testing.T) {
			first := play(t, a(t), ref.New(), c)
			if second := play(t, b(t), nil, c); !t.Failed() {
				sameBits(t, first, second)
			}
		})
	}
}

// play runs one part and returns the bits of everything it computed. Without a
// reference it compares with nothing: what is right has been seen before, and the
// reference takes most of the time.
func play(t reporter, dev backend.Backend, reference reference, c one) []uint32 {
	s := &suite{twins: twins{t: t, dev: dev, ref: reference, draws: draws{rand.New(rand.NewPCG(1, uint64(len(c.name))))}}}
	c.run(s)
	s.finish("")
	return s.bits
}

// The number of results can differ only by a mistake in a part, and then the comparison would
// mean nothing.
func sameBits(t reporter, a, b []uint32) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("the runs computed %d and %d values", len(a), len(b))
	}
	differ := 0
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
	}
	if differ > 0 {
		t.Errorf("%d of %d results differ in bits between two runs on the same inputs", differ, len(a))
	}
}

// suite runs operations on a backend and on the reference side by side.
//
// It serves one part on one backend and ends with it. Between a call of an operation and the next
// finish, every twin keeps its place, so that what an operation wrote beside its output is still
// there to be seen.
// Memory is not given back when a check fails: the test is over, and so is the backend.
type suite struct {
	twins
	bits []uint32 // of all outputs compared so far, in order
}

// both runs f on both backends; at gives a twin's tensor there, and the zero
// Tensor of nil.
// Operations are queued on both sides before either is waited for.
func (s *suite) both(f func(be backend.Backend, at func(*twin) backend.Tensor)) {
	f(s.dev, func(w *twin) backend.Tensor {
		if w == nil {
			return backend.Tensor{}
		}
		return w.dev
	})
	if s.ref == nil {
		return
	}
	f(s.ref, func(w *twin) backend.Tensor {
		if w == nil {
			return backend.Tensor{}
		}
		return w.ref
	})
}

// same compares outputs; nil ones were not given. what describes the case.
// It synchronises first: the error of an operation that failed is reported here, with the
// operation's name.
func (s *suite) same(op, what string, outputs ...*twin) {
	s.t.Helper()
	s.sameScaled(op, what, func(int, int) float64 { return 1 }, outputs...)
}

// sameScaled is same with the absolute tolerance of element (r, c) times
// scale(r, c), for values whose rounding errors are not of size 1.
func (s *suite) sameScaled(op, what string, scale func(r, c int) float64, outputs ...*twin) {
	s.t.Helper()
	if s.ref != nil {
		if err := s.ref.Sync(); err != nil {
			s.t.Fatalf("%s %s: the reference failed: %v", op, what, err)
		}
	}
	if err := s.dev.Sync(); err != nil {
		s.t.Fatalf("%s %s: %v", op, what, err)
	}
	for i, w := range outputs {
		if w != nil {
			w.output = true
			s.compare(op, what, i, w, scale)
		}
	}
}

// compare looks at an output element by element. Integers have to be equal over the whole buffer,
// guards included. It stops at the first difference: those behind it are most often the same
// mistake.
func (s *suite) compare(op, what string, output int, w *twin, scale func(r, c int) float64) {
	s.t.Helper()
	if w.ints != nil {
		got := s.allInts(s.dev, w.dev)
		want := got
		if s.ref != nil {
			want = s.allInts(s.ref, w.ref)
		}
		for i := range got {
			s.bits = append(s.bits, uint32(got[i]))
			if got[i] != want[i] {
				s.t.Fatalf("%s %s: output %d: element %d of the buffer is %d, want %d", op, what, output, i, got[i], want[i])
			}
		}
		return
	}
	got := make([]float32, w.dev.Len())
	if err := s.dev.Download(got, w.dev); err != nil {
		s.t.Fatalf("%s %s: %v", op, what, err)
	}
	for _, g := range got {
		s.bits = append(s.bits, math.Float32bits(g))
	}
	if s.ref == nil {
		return
	}
	base := tolerances[op]
	for i, g := range got {
		r, c := i/w.dev.Cols, i%w.dev.Cols
		want := s.ref.At(w.ref, r, c)
		tol := tolerance{base.Rel, base.Abs * scale(r, c)}
		if !near(float64(g), want, tol) {
			s.t.Fatalf("%s %s: output %d %v at (%d, %d) is %v, want %v (off by %.2g, allowed %.2g)",
				op, what, output, w.dev, r, c, g, want, math.Abs(float64(g)-want), tol.Abs+tol.Rel*math.Abs(want))
		}
	}
}

// near compares with tolerance; NaN equals NaN, and an infinity itself.
// Their differences are NaN, which is within no bound.
func near(got, want float64, tol tolerance) bool {
	if math.IsNaN(want) || math.IsNaN(got) {
		return math.IsNaN(want) && math.IsNaN(got)
	}
	if math.IsInf(want, 0) || math.IsInf(got, 0) {
		return got == want
	}
	return math.Abs(got-want) <= tol.Abs+tol.Rel*math.Abs(want)
}

// finish checks that nothing outside the outputs changed and frees the twins.
// The reference's copies are freed unseen: what is tested is the device.
// It ends with all buffers of the part freed, so that a suite needs the memory of one case.
func (s *suite) finish(what string) {
	s.t.Helper()
	for _, w := range s.made {
		// i is an element of the buffer; Stride is 0 only in tensors without rows.
		inView := func(i int) bool {
			i -= w.dev.Off
			return w.dev.Stride > 0 && i >= 0 && i/w.dev.Stride < w.dev.Rows && i%w.dev.Stride < w.dev.Cols
		}
		if w.ints != nil {
			for i, v := range s.allInts(s.dev, w.dev) {
				if !(w.output && inView(i)) && v != w.ints[i] {
					s.t.Fatalf("%s: element %d around or in an input %v changed from %d to %d", what, i, w.dev, w.ints[i], v)
				}
			}
		} else {
			// In float32, to which bfloat16 widens exactly: equality is meant.
			got := make([]float32, len(w.floats))
			if err := s.dev.Download(got, backend.View(w.dev.Buf, 0, 1, len(got))); err != nil {
				s.t.Fatalf("%s: %v", what, err)
			}
			for i, v := range got {
				if !(w.output && inView(i)) && !near(float64(v), float64(w.floats[i]), tolerance{}) {
					s.t.Fatalf("%s: element %d around or in an input %v changed from %v to %v", what, i, w.dev, w.floats[i], v)
				}
			}
		}
		for _, side := range s.sides(w) {
			side.be.Free(side.t.Buf)
		}
	}
	s.made = nil
}
