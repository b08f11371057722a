package tape

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/backend"
	"vgid/model/ref"
)

const width = 4

// fixture is a backend with parameters that random graphs are made of.
type fixture struct {
	be     *ref.Backend
	tape   *Tape
	lin    []*Linear
	norms  []*Param
	params []*Param
	x      backend.Tensor
	rows   int
}

func (f *fixture) tensor(t testing.TB, rows, cols int, seed uint32) backend.Tensor {
	buf, err := f.be.Alloc(backend.F32, rows*cols)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, rows*cols)
	backend.FillRandom(v, backend.Normal, backend.Key{Seed: 1}, seed)
	x := backend.View(buf, 0, rows, cols)
	f.be.Upload(x, v)
	return x
}

func (f *fixture) param(t testing.TB, name string, rows, cols int) *Param {
	n := uint32(len(f.params))
	p := &Param{Name: name, Value: f.tensor(t, rows, cols, 10+n), Grad: f.tensor(t, rows, cols, 100), Trainable: true}
	f.be.Scale(p.Value, 0.5)
	f.params = append(f.params, p)
	return p
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{be: ref.New(), rows: 3}
	f.tape = New(f.be, backend.F32)
	for i := range 3 {
		w := f.param(t, fmt.Sprintf("w%d", i), width, width)
		b := f.param(t, fmt.Sprintf("b%d", i), 1, width)
		f.lin = append(f.lin, &Linear{Parts: []Part{{W: w, B: b}}})
	}
	f.norms = []*Param{f.param(t, "norm", 1, width), f.param(t, "norm.bias", 1, width)}
	f.x = f.tensor(t, f.rows, width, 5)
	return f
}

// program is a graph: every instruction makes a value from earlier ones.
type program []instruction

type instruction struct {
	op, a, b, w int
	inner       program // of a segment
}

func drawProgram(r *rapid.T, depth int) program {
	var p program
	for range rapid.IntRange(1, 7).Draw(r, "length") {
		in := instruction{
			op: rapid.IntRange(0, 9).Draw(r, "op"), a: rapid.IntRange(0, 100).Draw(r, "a"),
			b: rapid.IntRange(0, 100).Draw(r, "b"), w: rapid.IntRange(0, 2).Draw(r, "w"),
		}
		if in.op == 8 {
			if depth == 0 {
				in.op = 0
			} else {
				in.inner = drawProgram(r, depth-1)
			}
		}
		p = append(p, in)
	}
	return p
}

// segment runs a program on one value; the sum of all its values comes out.
type segment struct {
	f *fixture
	p program
}

func (s *segment) Forward(t *Tape, x Var) Var {
	// A segment may be run unrecorded on memory that is added to in place.
	vals := []Var{t.Linear(x, s.f.lin[0])}
	for _, in := range s.p {
		a, b := vals[in.a%len(vals)], vals[in.b%len(vals)]
		var y Var
		switch in.op {
		case 0:
			y = t.Linear(a, s.f.lin[in.w])
		case 1:
			y = t.RMSNorm(a, s.f.norms[0], 0.1)
		case 2:
			y = t.LayerNorm(a, s.f.norms[0], s.f.norms[1], 0.1)
		case 3:
			y = t.Add(a, b)
		case 4:
			y = t.Activate(a, backend.GELU)
		case 5:
			y = t.SwiGLU(t.Concat([]Var{a, b}))
		case 6:
			y = t.Gather(a, t.Ints([]int32{2, -1, 2}, 1))
		case 7:
			y = t.Residual(t.Linear(a, s.f.lin[in.w]), t.Linear(b, s.f.lin[0]))
		case 8:
			// Unrecorded, a segment may use up its input: give it a copy.
			y = t.Checkpoint(t.Gather(a, t.Ints([]int32{0, 1, 2}, 1)), &segment{s.f, in.inner})
		case 9:
			// Six rows of two, which change places, and back.
			y = t.Reshape(t.Gather(a, t.Ints([]int32{0, 1, 2}, 1)), width/2)
			y = t.Reshape(t.Gather(y, t.Ints([]int32{3, 1, 2, 0, 5, 4}, 1)), width)
		}
		vals = append(vals, y)
	}
	sum := vals[0]
	for _, v := range vals[1:] {
		sum = t.Add(sum, v)
	}
	return sum
}

// loss is the sum of softmax cross-entropies of the graph's result; it leaves gradients
// when grad is set.
func (f *fixture) loss(t testing.TB, p program, grad bool) float64 {
	t.Helper()
	return f.total(t, Options{Grad: grad}, []float32{1, 1, 1}, func(tp *Tape) backend.Tensor {
		h := (&segment{f, p}).Forward(tp, tp.Input(f.x, true))
		return tp.LinearCE(h, f.lin[1].Parts[0].W, tp.Ints([]int32{1, 0, 3}, 1), tp.Floats([]float32{1, 1, 1}, 1))
	})
}

// TestRandomGraphs compares gradients of random graphs, in which values are
// used any number of times, with difference quotients, and counts OnGrad.
func TestRandomGraphs(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(r *rapid.T) {
		p := drawProgram(r, 2)
		calls := map[*Param]int{}
		f.tape.OnGrad = func(q *Param) { calls[q]++ }
		recorded := f.loss(t, p, true)
		f.tape.OnGrad = nil
		if plain := f.loss(t, p, false); math.Abs(plain-recorded) > 1e-9*math.Abs(recorded) {
			r.Fatalf("loss %g recorded, %g not", recorded, plain)
		}
		f.loss(t, p, true)
		const h = 1e-6
		for n, q := range append([]*Param{{Name: "input", Value: f.x}}, f.params...) {
			i := rapid.IntRange(0, q.Value.Len()-1).Draw(r, "element")
			row, col := i/q.Value.Cols, i%q.Value.Cols
			var got float64
			if n == 0 {
				got = f.be.At(f.tape.GradOf(1), row, col)
			} else {
				got = f.be.At(q.Grad, row, col)
				if calls[q] > 1 || got != 0 && calls[q] != 1 {
					r.Fatalf("%s was ready %d times", q.Name, calls[q])
				}
			}
			x := f.be.At(q.Value, row, col)
			f.be.Set(q.Value, row, col, x+h)
			up := f.loss(t, p, false)
			f.be.Set(q.Value, row, col, x-h)
			down := f.loss(t, p, false)
			f.be.Set(q.Value, row, col, x)
			f.loss(t, p, true)
			if want := (up - down) / (2 * h); math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
				r.Fatalf("%s[%d, %d]: gradient %g, difference quotient %g of %+v", q.Name, row, col, got, want, p)
			}
		}
	})
}

func TestReleaseKeepsWhatIsAsked(t *testing.T) {
	f := newFixture(t)
	tp := f.tape
	var peak int64
	for n := range 50 {
		tp.Reset(Options{})
		x := tp.Gather(tp.Input(f.x, false), tp.Ints([]int32{0, 1, 2}, 1))
		want := f.be.At(tp.Value(x), 1, 2)
		for range n {
			m := tp.Mark()
			want += want / (1 + math.Exp(-want))
			x = tp.Release(m, tp.Residual(x, tp.Activate(x, backend.SiLU)))
		}
		// A value that is made behind the mark moves.
		m := tp.Mark()
		tp.Activate(x, backend.SiLU)
		x = tp.Release(m, tp.Gather(x, tp.Ints([]int32{0, 1, 2}, 1)))
		if got := f.be.At(tp.Value(x), 1, 2); math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Fatalf("after %d releases: %g, want %g", n, got, want)
		}
		if n == 3 {
			peak = tp.act.arena.PeakBytes()
		}
	}
	// Indices share the tape but not the pool; activations must not grow with
	// the number of layers.
	if got := tp.act.arena.PeakBytes(); got > peak {
		t.Errorf("%d bytes of activations for 50 layers, %d for 3", got, peak)
	}
}

func TestBackwardRunsInTheForwardPassesMemory(t *testing.T) {
	f := newFixture(t)
	depth := func(n int, checkpoint bool) int64 {
		tp := New(f.be, backend.F32)
		defer tp.Close()
		tp.Reset(Options{Grad: true})
		x := tp.Input(f.x, true)
		block := &segment{f, program{{op: 0}, {op: 4, a: 1}, {op: 1, a: 2}, {op: 0, a: 3, w: 2}}}
		for range n {
			if checkpoint {
				x = tp.Checkpoint(x, block)
			} else {
				x = block.Forward(tp, x)
			}
		}
		forward := tp.PeakBytes()
		tp.LinearCE(x, f.lin[1].Parts[0].W, tp.Ints([]int32{1, 0, 3}, 1), tp.Floats([]float32{1, 1, 1}, 1))
		if err := tp.Backward(); err != nil {
			t.Fatal(err)
		}
		if got := tp.PeakBytes(); got > forward+forward/4+4096 {
			t.Errorf("depth %d: the backward pass raised the peak from %d to %d bytes", n, forward, got)
		}
		return tp.PeakBytes()
	}
	kept, recomputed := depth(64, false), depth(64, true)
	if recomputed*3 > kept {
		t.Errorf("recomputation peaks at %d bytes, keeping at %d", recomputed, kept)
	}
}

// poor is a backend without memory.
type poor struct{ backend.Backend }

var errPoor = errors.New("out of memory")

func (poor) Alloc(backend.DType, int) (backend.Buffer, error) { return nil, errPoor }

func TestMissingMemoryIsReported(t *testing.T) {
	f := newFixture(t)
	tp := New(poor{f.be}, backend.F32)
	tp.Reset(Options{Grad: true})
	tp.Linear(tp.Input(f.x, true), f.lin[0])
	if err := tp.Backward(); !errors.Is(err, errPoor) {
		t.Errorf("error %v, want %v", err, errPoor)
	}
}

func TestOverwritingWhatBackwardReadsPanics(t *testing.T) {
	f := newFixture(t)
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "overwritten") {
			t.Errorf("recovered %v", r)
		}
	}()
	f.tape.Reset(Options{Grad: true})
	x := f.tape.Linear(f.tape.Input(f.x, true), f.lin[0])
	f.tape.Linear(x, f.lin[1])
	f.tape.Merge(x, f.tape.Linear(x, f.lin[2]), f.tape.Ints([]int32{0, 1, 2}, 1))
}
