package tape

import (
	"fmt"
	"math"
	"testing"

	"vgid/model/backend"
)

// joined makes parameters whose values lie behind each other in one buffer, and
// their gradients in another, as a model's flat buffers have them.
func (f *fixture) joined(t testing.TB, name string, rows []int, cols int) []*Param {
	all := 0
	for _, r := range rows {
		all += r
	}
	whole := f.param(t, name, all, cols)
	f.params = f.params[:len(f.params)-1]
	var out []*Param
	from := 0
	for i, r := range rows {
		p := &Param{
			Name: fmt.Sprintf("%s%d", name, i), Trainable: true,
			Value: whole.Value.RowRange(from, from+r), Grad: whole.Grad.RowRange(from, from+r),
		}
		from += r
		out = append(out, p)
		f.params = append(f.params, p)
	}
	return out
}

// lossWeights of the three rows: Backward differentiates their weighted sum.
var lossWeights = []float32{1, -0.5, 2}

// weighted runs a forward pass that ends in a loss and gives the weighted sum; with grad it
// leaves the gradients.
func (f *fixture) weighted(t testing.TB, pass func(*Tape) backend.Tensor, grad bool) float64 {
	t.Helper()
	return f.total(t, Options{Grad: grad, Seed: 3, Step: 4}, lossWeights, pass)
}

// total runs a forward pass that ends in a loss of three rows and sums them as they weigh.
func (f *fixture) total(t testing.TB, o Options, weights []float32, pass func(*Tape) backend.Tensor) float64 {
	t.Helper()
	f.tape.Reset(o)
	for _, q := range f.params {
		f.be.Fill(q.Grad, 0)
	}
	rows := pass(f.tape)
	if err := f.be.Sync(); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, w := range weights {
		sum += float64(w) * f.be.At(rows, i, 0)
	}
	if o.Grad {
		if err := f.tape.Backward(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.be.Sync(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// differences compares the gradient of every element of every parameter with the
// quotient of differences; those that are not trained must get none. Each trained one
// is ready once.
func (f *fixture) differences(t *testing.T, pass func(*Tape) backend.Tensor) {
	t.Helper()
	calls := map[*Param]int{}
	f.tape.OnGrad = func(q *Param) { calls[q]++ }
	f.weighted(t, pass, true)
	f.tape.OnGrad = nil
	grads := map[*Param][]float64{}
	for _, q := range f.params {
		for i := range q.Value.Len() {
			grads[q] = append(grads[q], f.be.At(q.Grad, i/q.Value.Cols, i%q.Value.Cols))
		}
	}
	const h = 1e-6
	moves := map[*Param]bool{}
	for _, q := range f.params {
		for i, got := range grads[q] {
			row, col := i/q.Value.Cols, i%q.Value.Cols
			x := f.be.At(q.Value, row, col)
			f.be.Set(q.Value, row, col, x+h)
			up := f.weighted(t, pass, true)
			f.be.Set(q.Value, row, col, x-h)
			down := f.weighted(t, pass, true)
			f.be.Set(q.Value, row, col, x)
			want := (up - down) / (2 * h)
			moves[q] = moves[q] || math.Abs(want) > 1e-4
			if !q.Trainable {
				want = 0
			}
			if math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
				t.Errorf("%s[%d, %d]: gradient %g, difference quotient %g", q.Name, row, col, got, want)
			}
		}
		if want := moves[q] && q.Trainable; want && calls[q] != 1 || !q.Trainable && calls[q] > 0 {
			t.Errorf("%s (trained: %v) was ready %d times", q.Name, q.Trainable, calls[q])
		}
	}
	if len(moves) == 0 {
		t.Fatal("nothing was compared")
	}
}

// crossEntropy ends a pass in the loss of the fixture's second linear layer.
func (f *fixture) crossEntropy(tp *Tape, h Var) backend.Tensor {
	return tp.LinearCE(h, f.lin[1].Parts[0].W, tp.Ints([]int32{1, 0, 3}, 1), tp.Floats(lossWeights, 1))
}

// attention is of two sequences in three rows, two heads of queries that share one of
// keys and values.
func attention(tp *Tape, causal bool) backend.Attention {
	s := backend.Seqs{Start: []int32{0, 2}, Len: []int32{2, 1}, Dev: tp.Ints([]int32{0, 2, 2, 1}, 2)}
	return backend.Attention{Q: s, KV: s, Heads: 2, KVHeads: 1, HeadDim: 2, Scale: .7, Causal: causal}
}

// angles are cosines and sines [3, 1] for heads of width 2.
func angles(tp *Tape) (cos, sin backend.Tensor) {
	var c, s []float32
	for _, a := range []float64{.3, 1.2, -2} {
		c, s = append(c, float32(math.Cos(a))), append(s, float32(math.Sin(a)))
	}
	return tp.Floats(c, 1), tp.Floats(s, 1)
}

func (f *fixture) branch(t testing.TB, w *Param, r int, dropout float32) *LoRA {
	return &LoRA{
		A: f.param(t, w.Name+".A", r, w.Value.Cols), B: f.param(t, w.Name+".B", w.Value.Rows, r),
		Scale: 1.5, Dropout: dropout, Site: uint32(len(f.params)),
	}
}

// qkv are the three projections of attention; weights are joined, and biases as the
// mask says.
func (f *fixture) qkv(t testing.TB, biases [3]bool) *Linear {
	l := &Linear{}
	for i, w := range f.joined(t, "qkv", []int{4, 2, 2}, width) {
		p := Part{W: w}
		if biases[i] {
			p.B = f.param(t, w.Name+".bias", 1, w.Value.Rows)
		}
		l.Parts = append(l.Parts, p)
	}
	return l
}

// Gradients of every operation that a model uses and random graphs do not.
func TestGradientsOfOperations(t *testing.T) {
	for name, build := range map[string]func(t *testing.T, f *fixture) func(*Tape) backend.Tensor{
		"attention of all keys":    attending(false),
		"attention that is causal": attending(true),
		"embedding and merge": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			table := f.param(t, "table", 5, width)
			return func(tp *Tape) backend.Tensor {
				// The second row is an image's: it has no embedding. Row 4 is looked up twice.
				text := tp.Embedding(table, tp.Ints([]int32{4, -1, 4}, 1))
				image := tp.Gather(tp.Linear(tp.Input(f.x, false), f.lin[0]), tp.Ints([]int32{2}, 1))
				return f.crossEntropy(tp, tp.Linear(tp.Merge(text, image, tp.Ints([]int32{1}, 1)), f.lin[2]))
			}
		},
		"divergence from a teacher": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			ht, wt := f.tensor(t, 3, width, 70), f.tensor(t, width, width, 71)
			return func(tp *Tape) backend.Tensor {
				h := tp.Linear(tp.Input(f.x, false), f.lin[0])
				return tp.LinearKL(h, f.lin[1].Parts[0].W, ht, wt, tp.Floats(lossWeights, 1), backend.KL{TeacherTemp: 2, StudentTemp: 1.5, Scale: 3})
			}
		},
		"biases in places": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			l := f.qkv(t, [3]bool{true, false, true})
			return func(tp *Tape) backend.Tensor {
				return f.crossEntropy(tp, tp.SwiGLU(tp.Linear(tp.Linear(tp.Input(f.x, false), f.lin[0]), l)))
			}
		},
		"frozen norms": func(_ *testing.T, f *fixture) func(*Tape) backend.Tensor {
			f.norms[0].Trainable, f.norms[1].Trainable = false, false
			return func(tp *Tape) backend.Tensor {
				x := tp.RMSNorm(tp.Linear(tp.Input(f.x, false), f.lin[0]), f.norms[0], .1)
				return f.crossEntropy(tp, tp.LayerNorm(x, f.norms[0], f.norms[1], .1))
			}
		},
		"norms of an input that wants none": func(_ *testing.T, f *fixture) func(*Tape) backend.Tensor {
			return func(tp *Tape) backend.Tensor {
				x := tp.RMSNorm(tp.Input(f.x, false), f.norms[0], .1)
				return f.crossEntropy(tp, tp.Add(x, tp.LayerNorm(tp.Input(f.x, false), f.norms[0], f.norms[1], .1)))
			}
		},
		"branches, joined": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			l := f.qkv(t, [3]bool{})
			for i, a := range f.joined(t, "A", []int{2, 1, 1}, width) {
				w := l.Parts[i].W
				l.Parts[i].LoRA = &LoRA{A: a, B: f.param(t, w.Name+".B", w.Value.Rows, a.Value.Rows), Scale: float32(i) + .5}
				w.Trainable = false
			}
			return branched(f, l)
		},
		"branches of some parts": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			l := f.qkv(t, [3]bool{})
			l.Parts[0].LoRA, l.Parts[2].LoRA = f.branch(t, l.Parts[0].W, 2, 0), f.branch(t, l.Parts[2].W, 1, 0)
			return branched(f, l)
		},
		"branches with dropout": func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
			l := f.qkv(t, [3]bool{})
			l.Parts[0].LoRA, l.Parts[1].LoRA = f.branch(t, l.Parts[0].W, 2, .4), f.branch(t, l.Parts[1].W, 1, 0)
			return branched(f, l)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.differences(t, build(t, f))
		})
	}
}

func attending(causal bool) func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
	return func(t *testing.T, f *fixture) func(*Tape) backend.Tensor {
		l := f.qkv(t, [3]bool{true, true, true})
		return func(tp *Tape) backend.Tensor {
			x := tp.Linear(tp.Input(f.x, false), l)
			cos, sin := angles(tp)
			tp.RoPE(x, 0, 4, 2, cos, sin)
			tp.RoPE(x, 4, 6, 1, cos, sin)
			return f.crossEntropy(tp, tp.Attention(x, attention(tp, causal)))
		}
	}
}

// branched is a pass through l behind a trained layer, so that what flows back
// through the branches counts, too.
func branched(f *fixture, l *Linear) func(*Tape) backend.Tensor {
	return func(tp *Tape) backend.Tensor {
		tp.SetRows(tp.Ints([]int32{0, 0, 0, 1, 1, 0}, 2))
		return f.crossEntropy(tp, tp.SwiGLU(tp.Linear(tp.Linear(tp.Input(f.x, false), f.lin[0]), l)))
	}
}

// Dropout is keyed by seed, step, site and row: a pass that is not recorded has none,
// another step has another one, and the same step the same.
func TestDropoutOfBranches(t *testing.T) {
	f := newFixture(t)
	l := f.lin[0]
	l.Parts[0].LoRA = f.branch(t, l.Parts[0].W, 2, .5)
	out := func(o Options) (all [3 * width]float64) {
		f.tape.Reset(o)
		f.tape.SetRows(f.tape.Ints([]int32{0, 0, 0, 1, 1, 0}, 2))
		y := f.tape.Linear(f.tape.Input(f.x, false), l)
		for i := range all {
			all[i] = f.be.At(f.tape.Value(y), i/width, i%width)
		}
		return all
	}
	plain, one := out(Options{}), out(Options{Grad: true, Step: 1})
	if again := out(Options{Grad: true, Step: 1}); again != one {
		t.Error("the same step drops something else")
	}
	if one == plain || out(Options{Grad: true, Step: 2}) == one || out(Options{Grad: true, Step: 1, Seed: 1}) == one {
		t.Error("dropout does not depend on recording, step and seed")
	}
	if out(Options{Step: 2, Seed: 9}) != plain {
		t.Error("a pass that is not recorded drops something")
	}
}

// Without the adapter a pass has neither branches nor the weights that the adapter
// trains as a whole.
func TestPassWithoutTheAdapter(t *testing.T) {
	f := newFixture(t)
	l := f.qkv(t, [3]bool{true, false, false})
	before := func() (all []float64) {
		y := f.tape.Linear(f.tape.Input(f.x, false), l)
		for i := range 3 * 8 {
			all = append(all, f.be.At(f.tape.Value(y), i/8, i%8))
		}
		return all
	}
	f.tape.Reset(Options{})
	base := before()
	// The adapter has a branch on the first part, a bias and the third part as a whole.
	l.Parts[0].LoRA = f.branch(t, l.Parts[0].W, 2, 0)
	for i, p := range []*Param{l.Parts[0].B, l.Parts[2].W} {
		p.Base = p.Value
		p.Value = f.tensor(t, p.Base.Rows, p.Base.Cols, uint32(80+i))
	}
	f.tape.Reset(Options{})
	with := before()
	f.tape.UseAdapter(false)
	without := before()
	for i := range base {
		if math.Abs(without[i]-base[i]) > 1e-12 {
			t.Errorf("element %d is %g without the adapter, %g before there was one", i, without[i], base[i])
		}
		col := i % 8
		if changed := col < 4 || col >= 6; (math.Abs(with[i]-base[i]) > 1e-12) != changed {
			t.Errorf("element %d is %g with the adapter, %g without; of a part that it changes: %v", i, with[i], base[i], changed)
		}
	}
	// A layer of one part that is trained as a whole.
	one := &Linear{Parts: []Part{{W: l.Parts[2].W}}}
	alone := f.tape.Linear(f.tape.Input(f.x, false), one)
	if got := f.be.At(f.tape.Value(alone), 1, 0); math.Abs(got-base[8+6]) > 1e-12 {
		t.Errorf("a layer of one part is %g without the adapter, want %g", got, base[8+6])
	}
	f.tape.Reset(Options{})
	if again := before(); again[0] != with[0] {
		t.Error("Reset does not turn the adapter on")
	}
}

// Decoding token by token against a cache gives what the whole sequence gives.
func TestCachedAttention(t *testing.T) {
	f := newFixture(t)
	l := f.qkv(t, [3]bool{})
	tp := f.tape
	tp.Reset(Options{})
	x := tp.Linear(tp.Input(f.x, false), l)
	whole := backend.Seqs{Start: []int32{0}, Len: []int32{3}, Dev: tp.Ints([]int32{0, 3}, 2)}
	p := backend.Attention{Q: whole, KV: whole, Heads: 2, KVHeads: 1, HeadDim: 2, Scale: .7, Causal: true}
	want := tp.Attention(x, p)
	keys, values := f.tensor(t, 6, 2, 90), f.tensor(t, 6, 2, 91)
	for i := range int32(3) {
		row := tp.Gather(x, tp.Ints([]int32{i}, 1))
		p.Q = backend.Seqs{Start: []int32{0}, Len: []int32{1}, Dev: tp.Ints([]int32{0, 1}, 2)}
		p.KV = backend.Seqs{Start: []int32{2}, Len: []int32{i + 1}, Dev: tp.Ints([]int32{2, i + 1}, 2)}
		got := tp.CachedAttention(row, keys, values, tp.Ints([]int32{2 + i}, 1), p)
		for c := range width {
			a, b := f.be.At(tp.Value(got), 0, c), f.be.At(tp.Value(want), int(i), c)
			if math.Abs(a-b) > 1e-12 {
				t.Errorf("token %d, column %d: %g from the cache, %g in the sequence", i, c, a, b)
			}
		}
	}
	if err := f.be.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestRotatingWhatBackwardReadsPanics(t *testing.T) {
	f := newFixture(t)
	defer func() {
		if recover() == nil {
			t.Error("a value that the backward pass reads was rotated")
		}
	}()
	f.tape.Reset(Options{Grad: true})
	x := f.tape.Linear(f.tape.Input(f.x, true), f.lin[0])
	f.tape.Linear(x, f.lin[1])
	cos, sin := angles(f.tape)
	f.tape.RoPE(x, 0, 4, 2, cos, sin)
}

// A frozen tower inside a training step: what runs while recording is off gives its
// weights no gradient, whatever they are, and what follows has the one it has anyway.
func TestRecordingTurnedOff(t *testing.T) {
	f := newFixture(t)
	tower, w := f.lin[0].Parts[0].W, f.lin[2].Parts[0].W
	var ready []*Param
	f.tape.OnGrad = func(p *Param) { ready = append(ready, p) }
	run := func(tower bool) float64 {
		f.weighted(t, func(tp *Tape) backend.Tensor {
			was := tp.SetGrad(tower)
			if !was || tp.Grad() != tower {
				t.Errorf("recording was %v and is %v", was, tp.Grad())
			}
			x := tp.Linear(tp.Input(f.x, false), f.lin[0])
			tp.SetGrad(was)
			return f.crossEntropy(tp, tp.Linear(x, f.lin[2]))
		}, true)
		return f.be.At(w.Grad, 1, 1)
	}
	with, n := run(true), len(ready)
	if f.be.At(tower.Grad, 1, 1) == 0 || n != 5 {
		t.Errorf("recorded, %d parameters were ready", n)
	}
	if got := run(false); got != with || f.be.At(tower.Grad, 1, 1) != 0 || len(ready)-n != 3 {
		t.Errorf("not recorded: gradient %g behind the tower, want %g; %d parameters were ready", got, with, len(ready)-n)
	}
}
