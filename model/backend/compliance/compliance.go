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
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"vgid/model/backend"
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

// one is a named part of the suite.
// A part draws its own inputs, calls the operation and compares. It may do so many
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
			check(t, open(t), answersOf(t, c), c)
		})
	}
	for _, m := range slices.Concat(mistakes, wrongValues) {
		t.Run("errors/"+m.name, func(t *testing.T) { checkMistake(t, open(t), m) })
	}
}

// check runs one part twice on one backend: compared with the reference, and again
// alone, for the same bits.
// The second play has to draw the same inputs as the first, and the device may be in another
// state by then: workspaces grown, caches filled, threads awake.
func check(t reporter, dev backend.Backend, a *answers, c one) {
	first := play(t, dev, a, compared, c)
	if again := play(t, dev, a, repeated, c); !t.Failed() {
		sameBits(t, first, again)
	}
}

// SameBits checks that two ways to open a backend (one thread and several)
// give bit-equal results over the whole suite.
// A sum split among threads has to be added up in an order that does not depend on their number.
func SameBits(t *testing.T, a, b func(t *testing.T) backend.Backend) {
	for _, c := range all() {
		t.Run(c.name, func(t *testing.T) {
			known := answersOf(t, c)
			first := play(t, a(t), known, compared, c)
			if second := play(t, b(t), known, repeated, c); !t.Failed() {
				sameBits(t, first, second)
			}
		})
	}
}

// purpose is what a part is played for.
type purpose int

const (
	recorded purpose = iota // on the reference: inputs and results are kept
	compared                // on a device: results are compared with those
	repeated                // on a device: only the bits count, what is right has been seen before
)

// play runs one part and returns the bits of everything it computed.
func play(t reporter, dev backend.Backend, a *answers, why purpose, c one) []byte {
	pcg := rand.NewPCG(1, uint64(len(c.name)))
	s := &suite{twins: twins{t: t, dev: dev, answers: a, why: why, draws: draws{pcg, rand.New(pcg)}}}
	c.run(s)
	s.finish("")
	return s.bits
}

// The number of results can differ only by a mistake in a part, and then the comparison would
// mean nothing.
func sameBits(t reporter, a, b []byte) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("the runs computed %d and %d values", len(a)/4, len(b)/4)
	}
	if bytes.Equal(a, b) {
		return
	}
	differ := 0
	for i := 0; i < len(a); i += 4 {
		if !bytes.Equal(a[i:i+4], b[i:i+4]) {
			differ++
		}
	}
	t.Errorf("%d of %d results differ in bits between two runs on the same inputs", differ, len(a)/4)
}

// suite runs operations on a backend and compares with the answers of the reference.
//
// It serves one part on one backend and ends with it. Between a call of an operation and the next
// finish, every twin keeps its place, so that what an operation wrote beside its output is still
// there to be seen.
// Memory is not given back when a check fails: the test is over, and so is the backend.
type suite struct {
	twins
	bits []byte // of all outputs compared so far, in order
}

// call runs f on the backend; at gives a twin's tensor there, and the zero
// Tensor of nil.
func (s *suite) call(f func(be backend.Backend, at func(*twin) backend.Tensor)) {
	f(s.dev, func(w *twin) backend.Tensor {
		if w == nil {
			return backend.Tensor{}
		}
		return w.dev
	})
}

// same compares outputs; nil ones were not given. what describes the case.
// It synchronises first: the error of an operation that failed is reported here, with the
// operation's name.
func (s *suite) same(op, what string, outputs ...*twin) {
	s.t.Helper()
	s.sameScaled(op, what, nil, outputs...)
}

// sameScaled is same with the absolute tolerance of element (r, c) times
// scale(r, c), for values whose rounding errors are not of size 1.
func (s *suite) sameScaled(op, what string, scale func(r, c int) float64, outputs ...*twin) {
	s.t.Helper()
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
		got := s.allInts(w.dev)
		s.bits = append(s.bits, raw(got)...)
		want := s.wantInts(op, what, got)
		for i := range got {
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
	s.bits = append(s.bits, raw(got)...)
	if s.why == repeated {
		return
	}
	s.want(op, what, w)
	base := tolerances[op]
	for i, g := range got {
		tol := base
		if scale != nil {
			tol.Abs *= scale(i/w.dev.Cols, i%w.dev.Cols)
		}
		want := w.want[i]
		if !near(float64(g), want, tol) {
			s.t.Fatalf("%s %s: output %d %v at (%d, %d) is %v, want %v (off by %.2g, allowed %.2g)",
				op, what, output, w.dev, i/w.dev.Cols, i%w.dev.Cols, g, want, math.Abs(float64(g)-want), tol.Abs+tol.Rel*math.Abs(want))
		}
	}
}

// near compares with tolerance; NaN equals NaN, and an infinity itself.
// Their differences are NaN, which is within no bound, and that of an infinity and a number is infinite.
func near(got, want float64, tol tolerance) bool {
	if d := math.Abs(got - want); d <= math.MaxFloat64 {
		return d <= tol.Abs+tol.Rel*math.Abs(want)
	}
	return got == want || got != got && want != want
}

// finish checks that nothing outside the outputs changed and frees the twins.
// It ends with all buffers of the part freed, so that a suite needs the memory of one case.
func (s *suite) finish(what string) {
	s.t.Helper()
	for _, w := range s.made {
		if w.ints != nil {
			got := s.allInts(w.dev)
			restore(got, w.ints, w)
			if i := firstOther(got, w.ints, func(a, b int32) bool { return a == b }); i >= 0 {
				s.t.Fatalf("%s: element %d around or in an input %v changed from %d to %d", what, i, w.dev, w.ints[i], got[i])
			}
		} else {
			// In float32, to which bfloat16 widens exactly: equality is meant.
			got := make([]float32, len(w.floats))
			if err := s.dev.Download(got, backend.View(w.dev.Buf, 0, 1, len(got))); err != nil {
				s.t.Fatalf("%s: %v", what, err)
			}
			restore(got, w.floats, w)
			unchanged := func(a, b float32) bool { return near(float64(a), float64(b), tolerance{}) }
			if i := firstOther(got, w.floats, unchanged); i >= 0 {
				s.t.Fatalf("%s: element %d around or in an input %v changed from %v to %v", what, i, w.dev, w.floats[i], got[i])
			}
		}
		s.dev.Free(w.dev.Buf)
	}
	s.made = nil
}

// restore puts what was uploaded where an operation was to write: only what lies around that is
// left to compare.
func restore[T int32 | float32](got, uploaded []T, w *twin) {
	if !w.output {
		return
	}
	for r := range w.dev.Rows {
		from := w.dev.Off + r*w.dev.Stride
		copy(got[from:from+w.dev.Cols], uploaded[from:])
	}
}

// firstOther is the index of the first element that differs, -1 for none.
// Equal bits are seen in one comparison of memory, which is what nearly all buffers come to.
func firstOther[T int32 | float32](got, want []T, equal func(a, b T) bool) int {
	if bytes.Equal(raw(got), raw(want)) {
		return -1
	}
	for i := range got {
		if !equal(got[i], want[i]) {
			return i
		}
	}
	return -1
}

// raw is the memory of values.
func raw[T int32 | float32](values []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}
