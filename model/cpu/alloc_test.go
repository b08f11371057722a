package cpu

import (
	"testing"

	"vgid/model/backend"
)

// floats allocates a [rows, cols] tensor of small varied values.
func floats(t testing.TB, b backend.Backend, rows, cols int) backend.Tensor {
	t.Helper()
	buf, err := b.Alloc(backend.F32, rows*cols)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(i*7%23)/23 - 0.5
	}
	v := backend.View(buf, 0, rows, cols)
	b.Upload(v, x)
	return v
}

func rowIndices(t testing.TB, b backend.Backend, rows, cols, limit int) backend.Tensor {
	t.Helper()
	buf, err := b.Alloc(backend.I32, rows*cols)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]int32, rows*cols)
	for i := range x {
		x[i] = int32(i * 5 % limit)
	}
	v := backend.View(buf, 0, rows, cols)
	b.UploadInts(v, x)
	return v
}

// TestSteadyStateAllocatesNothing runs one operation of every kind: after the
// first calls have grown the scratch memory, none may touch Go's heap.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	b := New(2)
	defer b.Close()
	const rows, dim, heads, vocab = 96, 64, 4, 300
	mat := func(r, c int) backend.Tensor { return floats(t, b, r, c) }
	x, y, z, dx := mat(rows, dim), mat(rows, dim), mat(rows, dim), mat(rows, dim)
	w, dw, narrow, vec, dvec := mat(dim, dim), mat(dim, dim), mat(16, dim), mat(1, dim), mat(1, dim)
	out16, col, stats, lse := mat(rows, 16), mat(rows, 1), mat(rows, 2), mat(rows, heads)
	cos, sin := mat(rows, dim/heads/2), mat(rows, dim/heads/2)
	head, dhead, one := mat(vocab, dim), mat(vocab, dim), mat(1, 1)
	idx, ids, arg := rowIndices(t, b, rows, 1, rows), rowIndices(t, b, rows, 2, 50), rowIndices(t, b, rows, 1, 2)
	images, patches := mat(2, 3*16*16), mat(2*16, 3*4*4)
	half := func(x backend.Tensor) backend.Tensor {
		buf, err := b.Alloc(backend.BF16, x.Len())
		if err != nil {
			t.Fatal(err)
		}
		h := backend.View(buf, 0, x.Rows, x.Cols)
		b.Copy(h, x)
		return h
	}
	w16, head16 := half(w), half(head)
	b.Fill(col, 0.5)
	b.Fill(one, 4)
	p := backend.Attention{
		Q:     backend.Seqs{Start: []int32{0, 40}, Len: []int32{40, 56}},
		KV:    backend.Seqs{Start: []int32{0, 40}, Len: []int32{40, 56}},
		Heads: heads, KVHeads: heads, HeadDim: dim / heads, Scale: 0.25, Causal: true,
	}
	ops := map[string]func(){
		"matmul NT":     func() { b.MatMul(y, x, w, backend.MatMul{TransB: true, Alpha: 1, Bias: vec}) },
		"matmul TN":     func() { b.MatMul(dw, x, y, backend.MatMul{TransA: true, Alpha: 1, Beta: 1e-3}) },
		"matmul narrow": func() { b.MatMul(out16, x, narrow, backend.MatMul{TransB: true, Alpha: 1}) },
		"matmul few":    func() { b.MatMul(y.RowRange(0, 2), x.RowRange(0, 2), w, backend.MatMul{TransB: true, Alpha: 1}) },
		"sum rows":      func() { b.SumRows(dvec, x) },
		"element-wise":  func() { b.Add(y, x, z); b.Axpy(y, 0.5, x); b.Scale(y, 0.5); b.Fill(y, 1); b.Copy(y, x) },
		"gather":        func() { b.GatherRows(y, x, idx); b.ScatterRows(y, x, idx); b.ScatterAddRows(y, x, idx) },
		"rms norm":      func() { b.RMSNorm(y, col, x, vec, 1e-5); b.RMSNormBackward(dx, dvec, z, x, vec, col) },
		"layer norm": func() {
			b.LayerNorm(y, stats, x, vec, vec, 1e-5)
			b.LayerNormBackward(dx, dvec, dvec, z, x, vec, stats)
		},
		"activation":     func() { b.Activate(y, x, backend.GELU); b.ActivateBackward(dx, y, x, backend.GELU) },
		"swiglu":         func() { b.SwiGLU(y, x, z); b.SwiGLUBackward(dx, y, z, x, x) },
		"dropout":        func() { b.Dropout(y, x, 0.1, backend.Key{Seed: 1}, ids) },
		"random":         func() { b.Random(y, backend.Normal, backend.Key{Seed: 1}, idx) },
		"rope":           func() { b.RoPE(y, cos, sin, heads, false) },
		"attention":      func() { b.Attention(y, lse, x, z, z, p) },
		"attention back": func() { b.AttentionBackward(dx, y, y, z, z, lse, x, z, z, p) },
		"patchify":       func() { b.Patchify(patches, images, 3, 16, 16, 4) },
		"argmax":         func() { b.ArgMax(arg, x) },
		"linear ce":      func() { b.LinearCE(col, dx, dhead, x, head, idx, col) },
		"linear kl":      func() { b.LinearKL(col, dx, dhead, x, head, z, head, col, backend.KL{}) },
		"bf16 matmul": func() {
			b.MatMul(y, x, w16, backend.MatMul{TransB: true, Alpha: 1})
			b.MatMul(y, x, w16, backend.MatMul{Alpha: 1})
			b.MatMul(y.RowRange(0, 2), x.RowRange(0, 2), w16, backend.MatMul{TransB: true, Alpha: 1})
		},
		"bf16 gather": func() { b.GatherRows(y, head16, idx) },
		"bf16 heads": func() {
			b.LinearCE(col, dx, backend.Tensor{}, x, head16, idx, col)
			b.LinearKL(col, dx, backend.Tensor{}, x, head16, z, head, col, backend.KL{})
		},
		"optimizer": func() { b.SumSquares(one, x); b.AdamW(y, x, z, z, one, backend.AdamW{LR: 1e-3, Step: 3, ClipNorm: 1}) },
	}
	for name, op := range ops {
		op()
		op()
		if n := testing.AllocsPerRun(20, op); n != 0 {
			t.Errorf("%s: %v allocations a call", name, n)
		}
	}
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
}
