package ref

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"vgid/model/backend"
)

// bench is a reference backend with tensors of random values.
type bench struct {
	*Backend
	t   *testing.T
	rng *rand.Rand
}

func newBench(t *testing.T) *bench {
	b := &bench{New(), t, rand.New(rand.NewPCG(3, 4))}
	t.Cleanup(func() {
		if err := b.Sync(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// tensor makes a [rows, cols] view with gaps between rows, which hold NaN.
func (b *bench) tensor(rows, cols int, draw func() float64) backend.Tensor {
	b.t.Helper()
	buf, err := b.Alloc(backend.F32, 2+rows*(cols+3))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range buf.Len() {
		buf.(*buffer).floats[i] = math.NaN()
	}
	t := backend.Tensor{Buf: buf, Off: 2, Rows: rows, Cols: cols, Stride: cols + 3}
	each(t, func(r, c int) { b.Set(t, r, c, draw()) })
	return t
}

func (b *bench) random(rows, cols int) backend.Tensor { return b.tensor(rows, cols, b.rng.NormFloat64) }
func (b *bench) zeros(rows, cols int) backend.Tensor {
	return b.tensor(rows, cols, func() float64 { return 0 })
}

// junk is a destination whose content must not be read.
func (b *bench) junk(rows, cols int) backend.Tensor { return b.tensor(rows, cols, math.NaN) }

func (b *bench) ints(cols int, values ...int32) backend.Tensor {
	b.t.Helper()
	buf, err := b.Alloc(backend.I32, len(values))
	if err != nil {
		b.t.Fatal(err)
	}
	t := backend.View(buf, 0, len(values)/cols, cols)
	b.UploadInts(t, values)
	return t
}

// inner is Σ x·y.
func (b *bench) inner(x, y backend.Tensor) float64 {
	sum := 0.0
	each(x, func(r, c int) { sum += b.At(x, r, c) * b.At(y, r, c) })
	return sum
}

// value reads a tensor.
func (b *bench) value(t backend.Tensor) []float64 {
	out := make([]float64, 0, t.Len())
	each(t, func(r, c int) { out = append(out, b.At(t, r, c)) })
	return out
}

// gradient checks got, which holds start (nil: nothing) plus the gradient of
// loss by x, against finite differences.
func (b *bench) gradient(name string, x, got backend.Tensor, start []float64, loss func() float64) {
	b.t.Helper()
	// The five-point rule errs by h⁴ and rounds by 1e-16/h: h = 1e-3 balances them.
	const h = 1e-3
	each(x, func(r, c int) {
		at := b.At(x, r, c)
		moved := func(by float64) float64 {
			b.Set(x, r, c, at+by)
			return loss()
		}
		want := (8*(moved(h)-moved(-h)) - (moved(2*h) - moved(-2*h))) / (12 * h)
		b.Set(x, r, c, at)
		g := b.At(got, r, c)
		if start != nil {
			g -= start[r*x.Cols+c]
		}
		if !(math.Abs(g-want) <= 1e-9*max(1, math.Abs(want))) {
			b.t.Fatalf("%s at (%d, %d): gradient %v, finite difference %v", name, r, c, g, want)
		}
	})
}

func TestNormGradients(t *testing.T) {
	for _, z := range []struct {
		rows, cols int
		eps        float32
	}{{1, 1, 0.5}, {4, 7, 1e-5}, {3, 16, 0.1}} {
		t.Run(fmt.Sprintf("rms %+v", z), func(t *testing.T) {
			b := newBench(t)
			x, w, dy := b.random(z.rows, z.cols), b.random(1, z.cols), b.random(z.rows, z.cols)
			y, rstd := b.junk(z.rows, z.cols), b.junk(z.rows, 1)
			loss := func() float64 {
				b.RMSNorm(y, rstd, x, w, z.eps)
				return b.inner(y, dy)
			}
			loss()
			dx, dw := b.random(z.rows, z.cols), b.random(1, z.cols)
			dxStart, dwStart := b.value(dx), b.value(dw)
			b.RMSNormBackward(dx, dw, dy, x, w, rstd)
			b.gradient("dx", x, dx, dxStart, loss)
			b.gradient("dw", w, dw, dwStart, loss)
			alone := b.zeros(z.rows, z.cols)
			b.RMSNormBackward(alone, backend.Tensor{}, dy, x, w, rstd)
			b.gradient("dx without dw", x, alone, nil, loss)
		})
		t.Run(fmt.Sprintf("layer %+v", z), func(t *testing.T) {
			b := newBench(t)
			x, w, bias, dy := b.random(z.rows, z.cols), b.random(1, z.cols), b.random(1, z.cols), b.random(z.rows, z.cols)
			y, stats := b.junk(z.rows, z.cols), b.junk(z.rows, 2)
			loss := func() float64 {
				b.LayerNorm(y, stats, x, w, bias, z.eps)
				return b.inner(y, dy)
			}
			loss()
			dx, dw, db := b.random(z.rows, z.cols), b.random(1, z.cols), b.random(1, z.cols)
			dxStart, dwStart, dbStart := b.value(dx), b.value(dw), b.value(db)
			b.LayerNormBackward(dx, dw, db, dy, x, w, stats)
			b.gradient("dx", x, dx, dxStart, loss)
			b.gradient("dw", w, dw, dwStart, loss)
			b.gradient("db", bias, db, dbStart, loss)
			alone := b.zeros(z.rows, z.cols)
			b.LayerNormBackward(alone, backend.Tensor{}, backend.Tensor{}, dy, x, w, stats)
			b.gradient("dx without dw, db", x, alone, nil, loss)
		})
	}
}

// spread draws inputs of activations: ordinary ones, and the flat tails.
func (b *bench) spread() float64 {
	return []float64{1, 1, 3, 8}[b.rng.IntN(4)] * b.rng.NormFloat64()
}

func TestActivationGradients(t *testing.T) {
	for f := backend.GELU; f <= backend.SiLU; f++ {
		t.Run(f.String(), func(t *testing.T) {
			b := newBench(t)
			x, dy, y, dx := b.tensor(8, 9, b.spread), b.random(8, 9), b.junk(8, 9), b.junk(8, 9)
			loss := func() float64 {
				b.Activate(y, x, f)
				return b.inner(y, dy)
			}
			b.ActivateBackward(dx, dy, x, f)
			b.gradient("dx", x, dx, nil, loss)
			into := b.zeros(8, 9)
			b.Copy(into, dy)
			b.ActivateBackward(into, into, x, f)
			b.gradient("dx into dy", x, into, nil, loss)
		})
	}
}

func TestSwiGLUGradients(t *testing.T) {
	b := newBench(t)
	gate, up, dy, y := b.tensor(6, 7, b.spread), b.random(6, 7), b.random(6, 7), b.junk(6, 7)
	dgate, dup := b.junk(6, 7), b.junk(6, 7)
	loss := func() float64 {
		b.SwiGLU(y, gate, up)
		return b.inner(y, dy)
	}
	b.SwiGLUBackward(dgate, dup, dy, gate, up)
	b.gradient("dgate", gate, dgate, nil, loss)
	b.gradient("dup", up, dup, nil, loss)
}

func TestRoPEGradient(t *testing.T) {
	b := newBench(t)
	x, y, dy := b.random(4, 12), b.junk(4, 12), b.random(4, 12)
	cos, sin := b.random(4, 2), b.random(4, 2)
	loss := func() float64 {
		b.Copy(y, x)
		b.RoPE(y, cos, sin, 3, false)
		return b.inner(y, dy)
	}
	dx := b.zeros(4, 12)
	b.Copy(dx, dy)
	b.RoPE(dx, cos, sin, 3, true)
	b.gradient("dx", x, dx, nil, loss)
}

// seqs packs sequences from row first on, with one row of nobody after each.
func seqs(first int32, lengths ...int32) (backend.Seqs, int) {
	s := backend.Seqs{Len: lengths}
	for _, n := range lengths {
		s.Start = append(s.Start, first)
		first += n + 1
	}
	return s, int(first)
}

func TestAttentionGradients(t *testing.T) {
	for _, z := range []struct {
		name           string
		heads, kvHeads int
		causal         bool
		lq, lk         []int32
	}{
		{"full", 2, 2, false, []int32{3, 2}, []int32{3, 2}},
		{"causal", 2, 2, true, []int32{4, 1}, []int32{4, 1}},
		{"grouped queries", 4, 2, true, []int32{3}, []int32{3}},
		{"one key head", 3, 1, false, []int32{2}, []int32{4}},
		{"keys before the queries", 2, 1, true, []int32{2, 1}, []int32{5, 3}},
		{"queries that see nothing", 2, 1, true, []int32{4}, []int32{2}},
		{"no keys", 1, 1, false, []int32{2, 1}, []int32{0, 2}},
		{"no queries", 1, 1, false, []int32{0, 2}, []int32{3, 2}},
	} {
		t.Run(z.name, func(t *testing.T) {
			const dim = 3
			b := newBench(t)
			p := backend.Attention{Heads: z.heads, KVHeads: z.kvHeads, HeadDim: dim, Scale: 0.6, Causal: z.causal}
			var tq, tk int
			p.Q, tq = seqs(1, z.lq...)
			p.KV, tk = seqs(0, z.lk...)
			q, k, v := b.random(tq, z.heads*dim), b.random(tk, z.kvHeads*dim), b.random(tk, z.kvHeads*dim)
			// Rows of nobody keep their nought, so that they add nothing to the loss.
			o, lse, do := b.zeros(tq, z.heads*dim), b.zeros(tq, z.heads), b.random(tq, z.heads*dim)
			loss := func() float64 {
				b.Attention(o, lse, q, k, v, p)
				return b.inner(o, do)
			}
			loss()
			dq, dk, dv := b.zeros(tq, q.Cols), b.zeros(tk, k.Cols), b.zeros(tk, v.Cols)
			for i := range p.Q.Start {
				b.Fill(dq.RowRange(int(p.Q.Start[i]), int(p.Q.Start[i]+p.Q.Len[i])), 7)
				b.Fill(dk.RowRange(int(p.KV.Start[i]), int(p.KV.Start[i]+p.KV.Len[i])), 7)
				b.Fill(dv.RowRange(int(p.KV.Start[i]), int(p.KV.Start[i]+p.KV.Len[i])), 7)
			}
			b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
			b.gradient("dq", q, dq, nil, loss)
			b.gradient("dk", k, dk, nil, loss)
			b.gradient("dv", v, dv, nil, loss)
		})
	}
}

func TestLinearCEGradients(t *testing.T) {
	b := newBench(t)
	h, w, target := b.random(5, 4), b.random(6, 4), b.ints(1, 0, 5, 2, 2, 4)
	weight := b.tensor(5, 1, b.rng.NormFloat64) // of both signs
	b.Set(weight, 0, 0, -1.5)
	b.Set(weight, 1, 0, 0)
	loss := b.junk(5, 1)
	total := func() float64 {
		b.LinearCE(loss, backend.Tensor{}, backend.Tensor{}, h, w, target, backend.Tensor{})
		return b.inner(loss, weight)
	}
	b.head("linear_ce", h, w, total, func(dh, dw backend.Tensor) {
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	})
}

func TestLinearKLGradients(t *testing.T) {
	for _, p := range []backend.KL{{}, {TeacherTemp: 2, StudentTemp: 2, Scale: 4}, {TeacherTemp: 0.5, StudentTemp: 1.7, Scale: 0.25}} {
		t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
			b := newBench(t)
			h, w, ht, wt := b.random(5, 4), b.random(6, 4), b.random(5, 3), b.random(6, 3)
			weight := b.random(5, 1)
			b.Set(weight, 0, 0, -1.5)
			b.Set(weight, 1, 0, 0)
			loss := b.junk(5, 1)
			total := func() float64 {
				b.LinearKL(loss, backend.Tensor{}, backend.Tensor{}, h, w, ht, wt, backend.Tensor{}, p)
				return b.inner(loss, weight)
			}
			b.head("linear_kl", h, w, total, func(dh, dw backend.Tensor) {
				b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
			})
		})
	}
}

// head checks the gradients of a language-model head, each alone and both.
func (b *bench) head(op string, h, w backend.Tensor, total func() float64, backward func(dh, dw backend.Tensor)) {
	b.t.Helper()
	for which := 1; which < 4; which++ {
		var dh, dw backend.Tensor
		var dhStart, dwStart []float64
		if which&1 != 0 {
			dh = b.random(h.Rows, h.Cols)
			dhStart = b.value(dh)
		}
		if which&2 != 0 {
			dw = b.random(w.Rows, w.Cols)
			dwStart = b.value(dw)
		}
		backward(dh, dw)
		if which&1 != 0 {
			b.gradient(op+" dh", h, dh, dhStart, total)
		}
		if which&2 != 0 {
			b.gradient(op+" dw", w, dw, dwStart, total)
		}
	}
}
