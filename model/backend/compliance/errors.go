package compliance

import (
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/ref"
)

// mistake is one wrong call; the error it leaves must contain every word of
// says, underscores and case aside.
// call makes its tensors by f (F32) and n (I32), each [rows, cols] and dense.
type mistake struct {
	name string
	call func(be backend.Backend, f, n func(rows, cols int) backend.Tensor)
	says []string
}

// mistakes are seen in the shapes, types and owners of arguments.
// Their messages have to name the shapes: a mistake in a model is looked for by them.
// They are found before anything is computed, by the checks of backend.New, which every device has
// alike.
var mistakes = []mistake{
	{"matmul inner size", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.MatMul(f(2, 4), f(2, 3), f(5, 4), backend.MatMul{Alpha: 1})
	}, []string{"matmul", "[2, 3]", "[5, 4]"}},
	{"matmul bias", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.MatMul(f(2, 4), f(2, 3), f(3, 4), backend.MatMul{Alpha: 1, Bias: f(1, 3)})
	}, []string{"matmul", "bias", "[1, 3]"}},
	{"add", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.Add(f(2, 3), f(2, 3), f(3, 2)) },
		[]string{"add", "[2, 3]", "[3, 2]"}},
	{"axpy", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.Axpy(f(2, 3), 1, f(2, 4)) },
		[]string{"axpy", "[2, 3]", "[2, 4]"}},
	{"scale of nothing", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.Scale(backend.Tensor{}, 2) },
		[]string{"scale"}},
	{"copy of integers to floats", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.Copy(f(2, 3), n(2, 3)) },
		[]string{"copy", "f32[2, 3]", "i32[2, 3]"}},
	{"sum_rows", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.SumRows(f(1, 3), f(5, 4)) },
		[]string{"sum_rows", "[1, 3]", "[5, 4]"}},
	{"gather_rows by floats", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.GatherRows(f(2, 3), f(5, 3), f(2, 1))
	}, []string{"gather_rows", "f32[2, 1]"}},
	{"scatter_rows index count", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.ScatterRows(f(5, 3), f(2, 3), n(3, 1))
	}, []string{"scatter_rows", "[3, 1]"}},
	{"scatter_add_rows width", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.ScatterAddRows(f(5, 4), f(2, 3), n(2, 1))
	}, []string{"scatter_add_rows", "[5, 4]", "[2, 3]"}},
	{"rms_norm", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.RMSNorm(f(2, 3), f(2, 1), f(2, 3), f(1, 4), 1e-5)
	}, []string{"rms_norm", "[1, 4]"}},
	{"rms_norm_backward", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.RMSNormBackward(f(2, 3), f(1, 3), f(2, 3), f(2, 3), f(1, 3), f(3, 1))
	}, []string{"rms_norm_backward", "[3, 1]"}},
	{"layer_norm", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.LayerNorm(f(2, 3), f(2, 1), f(2, 3), f(1, 3), f(1, 3), 1e-5)
	}, []string{"layer_norm", "[2, 1]"}},
	{"layer_norm_backward", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.LayerNormBackward(f(2, 3), f(1, 3), f(1, 2), f(2, 3), f(2, 3), f(1, 3), f(2, 2))
	}, []string{"layer_norm_backward", "[1, 2]"}},
	{"activate", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.Activate(f(2, 3), f(2, 4), backend.GELU)
	},
		[]string{"activate", "[2, 4]"}},
	{"activate_backward", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.ActivateBackward(f(2, 3), f(2, 3), f(1, 3), backend.GELU)
	}, []string{"activate_backward", "[1, 3]"}},
	{"swiglu", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.SwiGLU(f(2, 3), f(2, 3), f(2, 6)) },
		[]string{"swiglu", "[2, 6]"}},
	{"swiglu_backward", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.SwiGLUBackward(f(2, 3), f(2, 3), f(2, 3), f(3, 3), f(2, 3))
	}, []string{"swiglu_backward", "[3, 3]"}},
	// A probability of 1 would scale what is left by 1/0.
	{"dropout probability", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.Dropout(f(2, 3), f(2, 3), 1, backend.Key{}, n(2, 2))
	}, []string{"dropout", "1"}},
	{"random samples", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.Random(f(2, 3), backend.Normal, backend.Key{}, n(3, 1))
	}, []string{"random", "[3, 1]"}},
	{"rope", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.RoPE(f(2, 6), f(2, 2), f(2, 2), 2, false)
	},
		[]string{"rope"}},
	{"attention heads", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.Attention(f(2, 6), backend.Tensor{}, f(2, 6), f(2, 4), f(2, 4), backend.Attention{Heads: 3, KVHeads: 2, HeadDim: 2, Scale: 1})
	}, []string{"attention", "[2, 6]", "[2, 4]"}},
	{"attention sequence past the end", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		one := backend.Seqs{Start: []int32{1}, Len: []int32{2}}
		be.Attention(f(2, 4), backend.Tensor{}, f(2, 4), f(2, 4), f(2, 4), backend.Attention{Q: one, KV: one, Heads: 2, KVHeads: 2, HeadDim: 2, Scale: 1})
	}, []string{"attention"}},
	{"attention_backward without lse", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		x := f(2, 4)
		one := backend.Seqs{Start: []int32{0}, Len: []int32{2}}
		be.AttentionBackward(f(2, 4), f(2, 4), f(2, 4), x, x, backend.Tensor{}, x, x, x, backend.Attention{Q: one, KV: one, Heads: 2, KVHeads: 2, HeadDim: 2, Scale: 1})
	}, []string{"attention_backward", "lse"}},
	{"patchify", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.Patchify(f(4, 12), f(1, 75), 3, 5, 5, 2)
	},
		[]string{"patchify"}},
	{"argmax into floats", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.ArgMax(f(2, 1), f(2, 3)) },
		[]string{"argmax", "f32[2, 1]"}},
	{"linear_ce without weight", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.LinearCE(f(2, 1), f(2, 3), backend.Tensor{}, f(2, 3), f(5, 3), n(2, 1), backend.Tensor{})
	}, []string{"linear_ce", "weight"}},
	{"linear_kl vocabularies", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.LinearKL(f(2, 1), backend.Tensor{}, backend.Tensor{}, f(2, 3), f(5, 3), f(2, 3), f(6, 3), backend.Tensor{}, backend.KL{})
	}, []string{"linear_kl", "[5, 3]", "[6, 3]"}},
	{"sum_squares", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.SumSquares(f(1, 2), f(3, 3)) },
		[]string{"sum_squares", "[1, 2]"}},
	{"adamw", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		be.AdamW(f(2, 3), f(2, 3), f(2, 3), f(2, 2), backend.Tensor{}, backend.AdamW{Step: 1})
	}, []string{"adamw", "[2, 2]"}},
	{"upload length", func(be backend.Backend, f, n func(r, c int) backend.Tensor) { be.Upload(f(2, 3), make([]float32, 5)) },
		[]string{"upload", "5", "[2, 3]"}},
	{"view past its buffer", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		x := f(2, 3)
		x.Rows = 9
		be.Fill(x, 1)
	}, []string{"fill", "[9, 3]"}},
	// Each device has a type of its own behind Buffer, which it asserts after this check.
	{"tensor of another backend", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		other, _ := ref.New().Alloc(backend.F32, 6)
		be.Add(f(2, 3), f(2, 3), backend.View(other, 0, 2, 3))
	}, []string{"add"}},
}

// wrongValues are mistakes that only a device with contents sees.
// Indices lie in the device's memory, so that the error comes with the next wait and not with the
// call.
var wrongValues = []mistake{
	{"gather_rows past the end", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		idx := n(2, 1)
		be.UploadInts(idx, []int32{0, 5})
		be.GatherRows(f(2, 3), f(5, 3), idx)
	}, []string{"gather_rows", "5"}},
	{"scatter_rows past the end", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		idx := n(2, 1)
		be.UploadInts(idx, []int32{0, 77})
		be.ScatterRows(f(5, 3), f(2, 3), idx)
	}, []string{"scatter_rows", "77"}},
	{"scatter_add_rows past the end", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		idx := n(2, 1)
		be.UploadInts(idx, []int32{0, 77})
		be.ScatterAddRows(f(5, 3), f(2, 3), idx)
	}, []string{"scatter_add_rows", "77"}},
	{"linear_ce target past the vocabulary", func(be backend.Backend, f, n func(r, c int) backend.Tensor) {
		target := n(2, 1)
		be.UploadInts(target, []int32{0, 5})
		be.LinearCE(f(2, 1), backend.Tensor{}, backend.Tensor{}, f(2, 3), f(5, 3), target, backend.Tensor{})
	}, []string{"linear_ce", "5"}},
}

// Refusals checks that a backend without contents, one that only counts, refuses
// what the others refuse, in the same words, but for values that it cannot see.
func Refusals(t *testing.T, open func(t *testing.T) backend.Backend) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) { checkMistake(t, open(t), m) })
	}
}

// checkMistake checks that a mistake sticks as an error that names the
// operation and the shapes, that later mistakes do not replace it, and that
// reading reports it.
//
// The first mistake counts: later operations work on what it left and would blame others.
func checkMistake(t reporter, be backend.Backend, m mistake) {
	tensor := func(dt backend.DType) func(r, c int) backend.Tensor {
		return func(r, c int) backend.Tensor {
			b, err := be.Alloc(dt, r*c)
			if err != nil {
				t.Fatalf("Alloc(%v, %d): %v", dt, r*c, err)
			}
			return backend.View(b, 0, r, c)
		}
	}
	f, n := tensor(backend.F32), tensor(backend.I32)
	x := f(2, 2)
	if err := be.Sync(); err != nil {
		t.Fatalf("error before any mistake: %v", err)
	}
	m.call(be, f, n)
	err := be.Sync()
	if err == nil {
		t.Fatalf("the mistake left no error")
	}
	for _, word := range m.says {
		if !strings.Contains(plain(err.Error()), plain(word)) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	be.Fill(x, 3)
	be.Add(x, x, backend.Tensor{})
	if again := be.Sync(); again == nil || again.Error() != err.Error() {
		t.Errorf("the first error %q became %v", err, again)
	}
	// Reading is where a caller would take wrong numbers for results.
	host := []float32{9, 9, 9, 9}
	if err := be.Download(host, x); err == nil {
		t.Errorf("Download after a failure reports no error")
	}
	if err := be.DownloadInts(make([]int32, 2), n(2, 1)); err == nil {
		t.Errorf("DownloadInts after a failure reports no error")
	}
}

// plain makes words comparable: backends may write RMSNorm or rms_norm.
func plain(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }
