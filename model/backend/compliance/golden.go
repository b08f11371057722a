package compliance

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"vgid/model/backend"
)

// testdata/golden.py writes golden.json with PyTorch in float64 and says what
// is in it.
//
//go:embed testdata/golden.json
var goldenFile []byte

// readGolden parses the golden cases once.
var readGolden = sync.OnceValues(func() ([]golden, error) {
	var cases []golden
	err := json.Unmarshal(goldenFile, &cases)
	return cases, err
})

// golden is one call of an operation with its inputs and what PyTorch made of
// them.
// Op names the part, Name the case for messages. Matrices are lists of rows, also where they have
// one; float64 travels through JSON without loss.
type golden struct {
	Op, Name string
	Scalars  map[string]float64
	Ints     map[string][][]int32
	Floats   map[string][][]float64
}

// exact is how close the float64 reference comes to float64 PyTorch: both
// round the same sums in different orders.
// A thousandth of the tightest bound above, so that the reference's own error is not seen in it.
var exact = tolerance{1e-9, 1e-12}

// goldens are the parts that compare with PyTorch. The reference must agree to
// float64 precision, so that the tolerance of the backend, which is measured
// from the reference, holds from PyTorch too.
var goldens = []one{
	goldenPart("rms_norm", goldenRMSNorm),
	goldenPart("layer_norm", goldenLayerNorm),
	goldenPart("activate", goldenActivate),
	goldenPart("swiglu", goldenSwiGLU),
	goldenPart("rope", goldenRoPE),
	goldenPart("attention", goldenAttention),
	goldenPart("linear_ce", goldenLinearCE),
	goldenPart("linear_kl", goldenLinearKL),
	goldenPart("adamw", goldenAdamW),
	goldenPart("patch embedding", goldenPatchEmbedding),
	goldenPart("embedding", goldenEmbedding),
}

// It fails without a case, for a golden file that has lost an operation would else pass.
func goldenPart(op string, run func(*suite, golden)) one {
	return one{"golden " + op, func(s *suite) {
		cases, err := readGolden()
		if err != nil {
			s.t.Fatalf("golden.json: %v", err)
		}
		found := false
		for _, g := range cases {
			if g.Op == op {
				found = true
				run(s, g)
				s.finish(op + " " + g.Name)
			}
		}
		if !found {
			s.t.Fatalf("golden.json has no case of %s", op)
		}
	}}
}

// in makes a twin of the inputs of a golden case.
func (s *suite) in(g golden, name string) *twin {
	s.t.Helper()
	m := s.matrix(g, name)
	i := -1
	return s.floats(len(m), len(m[0]), func() float64 {
		i++
		return m[i/len(m[0])][i%len(m[0])]
	})
}

// out makes a twin with the shape of an expected matrix that holds what
// draw gives: junk where the operation overwrites, nought where it adds.
func (s *suite) out(g golden, name string, draw func() float64) *twin {
	s.t.Helper()
	m := s.matrix(g, name)
	return s.floats(len(m), len(m[0]), draw)
}

// nought is what destinations hold that operations add to: the sum is then the gradient alone.
func nought() float64 { return 0 }

// matrix is an expected or given matrix, in float64 as PyTorch computed it.
func (s *suite) matrix(g golden, name string) [][]float64 {
	s.t.Helper()
	m := g.Floats[name]
	if len(m) == 0 || len(m[0]) == 0 {
		s.t.Fatalf("golden.json: %s %s has no matrix %s", g.Op, g.Name, name)
	}
	return m
}

// intRow is the first row of an integer matrix, which must have n columns;
// n < 0 takes any number.
func (s *suite) intRow(g golden, name string, n int) []int32 {
	s.t.Helper()
	m := g.Ints[name]
	if len(m) == 0 || (n >= 0 && len(m[0]) != n) {
		s.t.Fatalf("golden.json: %s %s has no integers %s", g.Op, g.Name, name)
	}
	return m[0]
}

// column makes a twin of an [n, 1] integer matrix.
func (s *suite) column(g golden, name string) *twin {
	s.t.Helper()
	var values []int32
	for _, row := range g.Ints[name] {
		values = append(values, row...)
	}
	if len(values) == 0 {
		s.t.Fatalf("golden.json: %s %s has no integers %s", g.Op, g.Name, name)
	}
	return s.ints(len(values), 1, values)
}

// A scalar that float32 cannot hold would be another on each side.
func (s *suite) scalar(g golden, name string) float32 {
	s.t.Helper()
	v, ok := g.Scalars[name]
	if !ok || float64(float32(v)) != v {
		s.t.Fatalf("golden.json: %s %s has no float32 %s", g.Op, g.Name, name)
	}
	return float32(v)
}

// agrees checks the reference, when its answers are recorded, against the expected matrix, and a
// device against those answers.
func (s *suite) agrees(op string, g golden, name string, w *twin) {
	s.t.Helper()
	what := fmt.Sprintf("golden %s, %s", g.Name, name)
	if s.why == recorded {
		if err := s.dev.Sync(); err != nil {
			s.t.Fatalf("%s %s: the reference failed: %v", op, what, err)
		}
		for r, row := range s.matrix(g, name) {
			for c, want := range row {
				if got := s.dev.(reference).At(w.dev, r, c); !near(got, want, exact) {
					s.t.Fatalf("%s %s: the reference has %v at (%d, %d), PyTorch %v", op, what, got, r, c, want)
				}
			}
		}
	}
	s.same(op, what, w)
}

func goldenRMSNorm(s *suite, g golden) {
	x, w, dy := s.in(g, "x"), s.in(g, "w"), s.in(g, "dy")
	y, rstd := s.out(g, "y", junk), s.out(g, "rstd", junk)
	dx, dw := s.out(g, "dx", nought), s.out(g, "dw", nought)
	eps := s.scalar(g, "eps")
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.RMSNorm(at(y), at(rstd), at(x), at(w), eps)
		be.RMSNormBackward(at(dx), at(dw), at(dy), at(x), at(w), at(rstd))
	})
	s.agrees("rms_norm", g, "y", y)
	s.agrees("rms_norm", g, "rstd", rstd)
	s.agrees("rms_norm_backward", g, "dx", dx)
	s.agrees("rms_norm_backward", g, "dw", dw)
}

func goldenLayerNorm(s *suite, g golden) {
	x, w, b, dy := s.in(g, "x"), s.in(g, "w"), s.in(g, "b"), s.in(g, "dy")
	y, stats := s.out(g, "y", junk), s.out(g, "stats", junk)
	dx, dw, db := s.out(g, "dx", nought), s.out(g, "dw", nought), s.out(g, "db", nought)
	eps := s.scalar(g, "eps")
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.LayerNorm(at(y), at(stats), at(x), at(w), at(b), eps)
		be.LayerNormBackward(at(dx), at(dw), at(db), at(dy), at(x), at(w), at(stats))
	})
	s.agrees("layer_norm", g, "y", y)
	s.agrees("layer_norm", g, "stats", stats)
	s.agrees("layer_norm_backward", g, "dx", dx)
	s.agrees("layer_norm_backward", g, "dw", dw)
	s.agrees("layer_norm_backward", g, "db", db)
}

func goldenActivate(s *suite, g golden) {
	// Activations are numbered without gaps, from the first to the last.
	f := backend.GELU
	for f.String() != g.Name {
		if f++; f > backend.SiLU {
			s.t.Fatalf("golden.json: no activation is called %s", g.Name)
		}
	}
	x, dy, y, dx := s.in(g, "x"), s.in(g, "dy"), s.out(g, "y", junk), s.out(g, "dx", junk)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.Activate(at(y), at(x), f)
		be.ActivateBackward(at(dx), at(dy), at(x), f)
	})
	s.agrees("activate", g, "y", y)
	s.agrees("activate_backward", g, "dx", dx)
}

func goldenSwiGLU(s *suite, g golden) {
	gate, up, dy := s.in(g, "gate"), s.in(g, "up"), s.in(g, "dy")
	y, dgate, dup := s.out(g, "y", junk), s.out(g, "dgate", junk), s.out(g, "dup", junk)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.SwiGLU(at(y), at(gate), at(up))
		be.SwiGLUBackward(at(dgate), at(dup), at(dy), at(gate), at(up))
	})
	s.agrees("swiglu", g, "y", y)
	s.agrees("swiglu_backward", g, "dgate", dgate)
	s.agrees("swiglu_backward", g, "dup", dup)
}

func goldenRoPE(s *suite, g golden) {
	heads := int(s.intRow(g, "heads", 1)[0])
	// The operation works in place: x becomes y, and dy, turned back, dx.
	y, dx, cos, sin := s.in(g, "x"), s.in(g, "dy"), s.in(g, "cos"), s.in(g, "sin")
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.RoPE(at(y), at(cos), at(sin), heads, false)
		be.RoPE(at(dx), at(cos), at(sin), heads, true)
	})
	s.agrees("rope", g, "y", y)
	s.agrees("rope", g, "dx", dx)
}

func goldenAttention(s *suite, g golden) {
	one, h := s.intRow(g, "causal", 1), s.intRow(g, "heads", 3)
	p := backend.Attention{Heads: int(h[0]), KVHeads: int(h[1]), HeadDim: int(h[2]), Causal: one[0] == 1, Scale: s.scalar(g, "scale")}
	// PyTorch knows no packing: the script computes each sequence alone and puts the results
	// together.
	packed := func(lengths []int32) backend.Seqs {
		seqs := backend.Seqs{Len: lengths}
		for at, n := int32(0), 0; n < len(lengths); n++ {
			seqs.Start = append(seqs.Start, at)
			at += lengths[n]
		}
		return seqs
	}
	qSeqs, kSeqs := packed(s.intRow(g, "lq", -1)), packed(s.intRow(g, "lk", -1))
	q, k, v, do := s.in(g, "q"), s.in(g, "k"), s.in(g, "v"), s.in(g, "do")
	o, lse := s.out(g, "o", junk), s.out(g, "lse", junk)
	dq, dk, dv := s.out(g, "dq", junk), s.out(g, "dk", junk), s.out(g, "dv", junk)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		p.Q, p.KV = s.onDevice(be, qSeqs), s.onDevice(be, kSeqs)
		be.Attention(at(o), at(lse), at(q), at(k), at(v), p)
		be.AttentionBackward(at(dq), at(dk), at(dv), at(do), at(o), at(lse), at(q), at(k), at(v), p)
		be.Free(p.Q.Dev.Buf)
		be.Free(p.KV.Dev.Buf)
	})
	s.agrees("attention", g, "o", o)
	s.agrees("attention", g, "lse", lse)
	s.agrees("attention_backward", g, "dq", dq)
	s.agrees("attention_backward", g, "dk", dk)
	s.agrees("attention_backward", g, "dv", dv)
}

func goldenLinearCE(s *suite, g golden) {
	h, w, weight, target := s.in(g, "h"), s.in(g, "w"), s.in(g, "weight"), s.column(g, "target")
	loss, dh, dw := s.out(g, "loss", junk), s.out(g, "dh", nought), s.out(g, "dw", nought)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.LinearCE(at(loss), at(dh), at(dw), at(h), at(w), at(target), at(weight))
	})
	s.agrees("linear_ce", g, "loss", loss)
	s.agrees("linear_backward", g, "dh", dh)
	s.agrees("linear_backward", g, "dw", dw)
}

func goldenLinearKL(s *suite, g golden) {
	h, w, ht, wt, weight := s.in(g, "h"), s.in(g, "w"), s.in(g, "ht"), s.in(g, "wt"), s.in(g, "weight")
	loss, dh, dw := s.out(g, "loss", junk), s.out(g, "dh", nought), s.out(g, "dw", nought)
	p := backend.KL{TeacherTemp: s.scalar(g, "teacher_temp"), StudentTemp: s.scalar(g, "student_temp"), Scale: s.scalar(g, "scale")}
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.LinearKL(at(loss), at(dh), at(dw), at(h), at(w), at(ht), at(wt), at(weight), p)
	})
	s.agrees("linear_kl", g, "loss", loss)
	s.agrees("linear_backward", g, "dh", dh)
	s.agrees("linear_backward", g, "dw", dw)
}

// Three steps, since the first alone would not show the moments being kept or the bias
// corrections going on.
func goldenAdamW(s *suite, g golden) {
	p, m, v := s.in(g, "p"), s.out(g, "m3", nought), s.out(g, "v3", nought)
	h := backend.AdamW{LR: s.scalar(g, "lr"), Beta1: s.scalar(g, "beta1"), Beta2: s.scalar(g, "beta2"), Eps: s.scalar(g, "eps"),
		WeightDecay: s.scalar(g, "weight_decay"), ClipNorm: s.scalar(g, "clip")}
	for step := 1; step <= 3; step++ {
		h.Step = step
		grad, norm := s.in(g, fmt.Sprintf("g%d", step)), s.floats(1, 1, nought)
		s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
			be.SumSquares(at(norm), at(grad))
			be.AdamW(at(p), at(grad), at(m), at(v), at(norm), h)
		})
		s.agrees("adamw", g, fmt.Sprintf("p%d", step), p)
		s.same("sum_squares", g.Name, norm)
	}
	s.agrees("adamw", g, "m3", m)
	s.agrees("adamw", g, "v3", v)
}

// goldenPatchEmbedding is a non-overlapping convolution as one product.
func goldenPatchEmbedding(s *suite, g golden) {
	// Channels, height, width and the side of a patch.
	z := s.intRow(g, "shape", 4)
	x, w, b, dy := s.in(g, "x"), s.in(g, "w"), s.in(g, "b"), s.in(g, "dy")
	y, dw, db := s.out(g, "y", junk), s.out(g, "dw", junk), s.out(g, "db", nought)
	patches := s.floats(y.dev.Rows, w.dev.Cols, junk)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.Patchify(at(patches), at(x), int(z[0]), int(z[1]), int(z[2]), int(z[3]))
		be.MatMul(at(y), at(patches), at(w), backend.MatMul{TransB: true, Alpha: 1, Bias: at(b)})
		be.MatMul(at(dw), at(dy), at(patches), backend.MatMul{TransA: true, Alpha: 1})
		be.SumRows(at(db), at(dy))
	})
	s.same("patchify", g.Name, patches)
	s.agrees("matmul", g, "y", y)
	s.agrees("matmul", g, "dw", dw)
	s.agrees("sum_rows", g, "db", db)
}

// goldenEmbedding has indices twice: their gradients add up.
func goldenEmbedding(s *suite, g golden) {
	table, dy, idx := s.in(g, "table"), s.in(g, "dy"), s.column(g, "idx")
	y, dtable := s.out(g, "y", junk), s.out(g, "dtable", nought)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		be.GatherRows(at(y), at(table), at(idx))
		be.ScatterAddRows(at(dtable), at(dy), at(idx))
	})
	s.agrees("gather_rows", g, "y", y)
	s.agrees("scatter_add_rows", g, "dtable", dtable)
}
