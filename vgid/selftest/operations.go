package selftest

import (
	"math"
	"math/rand/v2"

	"vgid/model/backend"
)

// between draws a size, or gives the large one.
// The large ones are those of LLaVA-7B.
func between(rng *rand.Rand, large bool, lo, hi, big int) int {
	if large {
		return big
	}
	return lo + rng.IntN(hi-lo+1)
}

// tokens and width of a call on activations.
// Small ones reach below and above the widths that kernels work in, and are odd as often
// as even, so that the rest of a row is tried.
func shape(rng *rand.Rand, large bool) (rows, cols int) {
	return between(rng, large, 1, 70, 4096), between(rng, large, 1, 200, 4096)
}

// onRows is an operation on tensors that make gives for a shape.
func onRows(name string, tolerance float64, outputs []int, tensors func(r, c int) []tensor, run func(be backend.Backend, t []backend.Tensor)) operation {
	return operation{name, tolerance, func(rng *rand.Rand, large bool) call {
		return call{tensors: tensors(shape(rng, large)), outputs: outputs, run: run}
	}}
}

// The arguments of an operation, in the order of a call's tensors.
type tensors = []backend.Tensor

// Tolerances are relative to 1 + |value|: those of bfloat16 are some units of its 8 bits of
// mantissa, those of sums grow with their length.
var operations = []operation{
	onRows("add", 1e-6, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(r, c), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.Add(t[0], t[1], t[2]) }),
	onRows("add bf16", 1e-2, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c).as(backend.BF16), bf16(r, c), bf16(r, c)} },
		func(be backend.Backend, t tensors) { be.Add(t[0], t[1], t[2]) }),
	onRows("gelu", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.Activate(t[0], t[1], backend.GELU) }),
	onRows("quick_gelu backward", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(r, c), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.ActivateBackward(t[0], t[1], t[2], backend.QuickGELU) }),
	onRows("swiglu", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(r, c), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.SwiGLU(t[0], t[1], t[2]) }),
	onRows("swiglu backward", 1e-5, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{out(r, c), out(r, c), f32(r, c), f32(r, c), f32(r, c)}
	}, func(be backend.Backend, t tensors) { be.SwiGLUBackward(t[0], t[1], t[2], t[3], t[4]) }),
	onRows("rms_norm", 1e-5, []int{0, 1}, func(r, c int) []tensor { return []tensor{out(r, c), out(r, 1), f32(r, c), f32(1, c)} },
		func(be backend.Backend, t tensors) { be.RMSNorm(t[0], t[1], t[2], t[3], 1e-5) }),
	onRows("rms_norm backward", 1e-4, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{out(r, c), out(1, c), f32(r, c), f32(r, c), f32(1, c), out(r, 1).of(uniform)}
	}, func(be backend.Backend, t tensors) { be.RMSNormBackward(t[0], t[1], t[2], t[3], t[4], t[5]) }),
	onRows("layer_norm", 1e-4, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{out(r, c), out(r, 2), f32(r, c), f32(1, c), f32(1, c)}
	}, func(be backend.Backend, t tensors) { be.LayerNorm(t[0], t[1], t[2], t[3], t[4], 1e-2) }),
	onRows("layer_norm backward", 1e-3, []int{0, 1, 2}, func(r, c int) []tensor {
		return []tensor{out(r, c), out(1, c), out(1, c), f32(r, c), f32(r, c), f32(1, c), out(r, 2).of(uniform)}
	}, func(be backend.Backend, t tensors) { be.LayerNormBackward(t[0], t[1], t[2], t[3], t[4], t[5], t[6]) }),
	onRows("sum_rows", 1e-4, []int{0}, func(r, c int) []tensor { return []tensor{out(1, c), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.SumRows(t[0], t[1]) }),
	onRows("sum_squares", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{out(1, 1), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.SumSquares(t[0], t[1]) }),
	// Choosing and copying round nothing, so that no difference is allowed.
	onRows("argmax", 0, []int{0}, func(r, c int) []tensor { return []tensor{ints(r, 1, 1), f32(r, c)} },
		func(be backend.Backend, t tensors) { be.ArgMax(t[0], t[1]) }),
	onRows("gather_rows", 0, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(40, c), ints(r, 1, 40)} },
		func(be backend.Backend, t tensors) { be.GatherRows(t[0], t[1], t[2]) }),
	onRows("scatter_add_rows", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{f32(40, c), f32(r, c), ints(r, 1, 40)} },
		func(be backend.Backend, t tensors) { be.ScatterAddRows(t[0], t[1], t[2]) }),
	onRows("random normal", 1e-5, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), ints(r, 1, 1000)} },
		func(be backend.Backend, t tensors) {
			be.Random(t[0], backend.Normal, backend.Key{Seed: 5, Step: 2}, t[1])
		}),
	onRows("dropout", 1e-6, []int{0}, func(r, c int) []tensor { return []tensor{out(r, c), f32(r, c), ints(r, 2, 1000)} },
		func(be backend.Backend, t tensors) { be.Dropout(t[0], t[1], 0.3, backend.Key{Seed: 6}, t[2]) }),
	// The sum of squares is 4, a norm of 2: clipping to 1 has something to do. v is drawn
	// from [0, 1), as its root is taken.
	onRows("adamw", 1e-4, []int{0, 2, 3}, func(r, c int) []tensor {
		return []tensor{f32(r, c), f32(r, c), f32(r, c), out(r, c).of(uniform), out(1, 1).of(func(*rand.Rand) float64 { return 4 })}
	}, func(be backend.Backend, t tensors) {
		be.AdamW(t[0], t[1], t[2], t[3], t[4], backend.AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-2, WeightDecay: 0.1, ClipNorm: 1, Step: 3})
	}),
	{"rope", 1e-5, func(rng *rand.Rand, large bool) call {
		r, heads, half := between(rng, large, 1, 50, 4096), between(rng, large, 1, 4, 32), between(rng, large, 1, 40, 64)
		return call{tensors: []tensor{f32(r, 2*heads*half), f32(r, half), f32(r, half)}, outputs: []int{0},
			run: func(be backend.Backend, t tensors) { be.RoPE(t[0], t[1], t[2], heads, false) }}
	}},
	{"patchify", 0, func(rng *rand.Rand, large bool) call {
		n, grid, p := between(rng, large, 1, 3, 32), between(rng, large, 1, 4, 24), between(rng, large, 1, 14, 14)
		return call{tensors: []tensor{out(n*grid*grid, 3*p*p), f32(n, 3*grid*p*grid*p)}, outputs: []int{0},
			run: func(be backend.Backend, t tensors) { be.Patchify(t[0], t[1], 3, grid*p, grid*p, p) }}
	}},
	// bfloat16 outputs are rounded once more than the reference's.
	onRows("gelu bf16", 1e-2, []int{0}, func(r, c int) []tensor { return []tensor{half16(r, c), bf16(r, c)} },
		func(be backend.Backend, t tensors) { be.Activate(t[0], t[1], backend.GELU) }),
	onRows("swiglu bf16", 1e-2, []int{0}, func(r, c int) []tensor { return []tensor{half16(r, c), bf16(r, c), bf16(r, c)} },
		func(be backend.Backend, t tensors) { be.SwiGLU(t[0], t[1], t[2]) }),
	onRows("swiglu bf16 backward", 1e-2, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{half16(r, c), half16(r, c), bf16(r, c), bf16(r, c), bf16(r, c)}
	}, func(be backend.Backend, t tensors) { be.SwiGLUBackward(t[0], t[1], t[2], t[3], t[4]) }),
	onRows("rms_norm bf16", 1e-2, []int{0, 1}, func(r, c int) []tensor { return []tensor{half16(r, c), out(r, 1), bf16(r, c), bf16(1, c)} },
		func(be backend.Backend, t tensors) { be.RMSNorm(t[0], t[1], t[2], t[3], 1e-5) }),
	onRows("rms_norm bf16 backward", 2e-2, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{half16(r, c), out(1, c), bf16(r, c), bf16(r, c), bf16(1, c), out(r, 1).of(uniform)}
	}, func(be backend.Backend, t tensors) { be.RMSNormBackward(t[0], t[1], t[2], t[3], t[4], t[5]) }),
	onRows("layer_norm bf16", 1e-2, []int{0, 1}, func(r, c int) []tensor {
		return []tensor{half16(r, c), out(r, 2), bf16(r, c), bf16(1, c), bf16(1, c)}
	}, func(be backend.Backend, t tensors) { be.LayerNorm(t[0], t[1], t[2], t[3], t[4], 1e-2) }),
	product("matmul f32", 1e-4, backend.F32, backend.F32, backend.F32),
	product("matmul f32, bf16 weight", 1e-4, backend.F32, backend.BF16, backend.F32),
	product("matmul bf16 to f32", 1e-3, backend.BF16, backend.BF16, backend.F32),
	product("matmul bf16", 1e-2, backend.BF16, backend.BF16, backend.BF16),
	attention("attention f32", 1e-4, backend.F32, false),
	attention("attention f32 backward", 1e-3, backend.F32, true),
	attention("attention bf16", 2e-2, backend.BF16, false),
	attention("attention bf16 backward", 1e-1, backend.BF16, true),
	crossEntropy("linear_ce f32", 1e-3, backend.F32),
	crossEntropy("linear_ce bf16", 5e-2, backend.BF16),
	divergence("linear_kl f32", 1e-3, backend.F32),
	divergence("linear_kl bf16", 5e-2, backend.BF16),
}

// product is c = a·bᵀ, or of another combination of transposes.
// The large one is the product of a linear layer, whose weight lies transposed as
// checkpoints store it.
func product(name string, tolerance float64, a, b, c backend.DType) operation {
	return operation{name, tolerance, func(rng *rand.Rand, large bool) call {
		m, n, k := between(rng, large, 1, 150, 4096), between(rng, large, 1, 150, 4096), between(rng, large, 1, 200, 4096)
		p := backend.MatMul{Alpha: 1, TransB: true}
		if !large {
			p.TransA, p.TransB = rng.IntN(2) == 0, rng.IntN(2) == 0
		}
		x, y := f32(m, k).as(a), f32(k, n).as(b)
		if p.TransA {
			x.rows, x.cols = k, m
		}
		if p.TransB {
			y.rows, y.cols = n, k
		}
		return call{tensors: []tensor{out(m, n).as(c), x, y}, outputs: []int{0}, flops: 2 * float64(m) * float64(n) * float64(k),
			run: func(be backend.Backend, t tensors) { be.MatMul(t[0], t[1], t[2], p) }}
	}}
}

// attention is causal or full, with grouped heads, over sequences of different
// lengths; the backward pass includes the forward pass.
func attention(name string, tolerance float64, dt backend.DType, backward bool) operation {
	return operation{name, tolerance, func(rng *rand.Rand, large bool) call {
		dim := []int{64, 80, 128}[rng.IntN(3)]
		kv, group := between(rng, large, 1, 2, 32), between(rng, large, 1, 2, 1)
		var s backend.Seqs
		rows := 0
		for range between(rng, large, 1, 3, 2) {
			n := between(rng, large, 1, 90, 2048)
			if large {
				dim = 128
			}
			s.Start, s.Len, rows = append(s.Start, int32(rows)), append(s.Len, int32(n)), rows+n
		}
		p := backend.Attention{Q: s, KV: s, Heads: kv * group, KVHeads: kv, HeadDim: dim,
			Scale: float32(1 / math.Sqrt(float64(dim))), Causal: large || rng.IntN(2) == 0}
		q, k := p.Heads*dim, kv*dim
		flops := 0.0
		for _, n := range s.Len {
			// Scores and weighted sum are 2·n²·q each; a causal mask halves both below.
			flops += 4 * float64(n) * float64(n) * float64(q)
		}
		if p.Causal {
			flops /= 2
		}
		c := call{
			tensors: []tensor{out(rows, q).as(dt), out(rows, p.Heads), f32(rows, q).as(dt), f32(rows, k).as(dt), f32(rows, k).as(dt)},
			outputs: []int{0, 1}, flops: flops,
			run: func(be backend.Backend, t tensors) { be.Attention(t[0], t[1], t[2], t[3], t[4], p) },
		}
		if backward {
			c.tensors = append(c.tensors, f32(rows, q).as(dt), out(rows, q).as(dt), out(rows, k).as(dt), out(rows, k).as(dt))
			// Forward and two and a half times as much backward: five products in place of two.
			c.outputs, c.flops = []int{6, 7, 8}, 3.5*flops
			c.run = func(be backend.Backend, t tensors) {
				be.Attention(t[0], t[1], t[2], t[3], t[4], p)
				be.AttentionBackward(t[6], t[7], t[8], t[5], t[0], t[1], t[2], t[3], t[4], p)
			}
		}
		return c
	}}
}

// half16 is a bf16 output.
func half16(rows, cols int) tensor { return out(rows, cols).as(backend.BF16) }

// half keeps logits of long rows within a few units.
func half(rng *rand.Rand) float64 { return 0.3 * rng.NormFloat64() }

// crossEntropy and divergence ask for the gradient of the hidden states, not of the head, as an
// adapter's training does.
// The flops are those of logits and of the gradient that goes back through the head.
func crossEntropy(name string, tolerance float64, dt backend.DType) operation {
	return operation{name, tolerance, func(rng *rand.Rand, large bool) call {
		r, d, vocab := between(rng, large, 1, 20, 4096), between(rng, large, 1, 60, 4096), between(rng, large, 2, 700, 32064)
		return call{
			tensors: []tensor{out(r, 1), out(r, d), f32(r, d).as(dt).of(half), f32(vocab, d).as(dt).of(half), ints(r, 1, vocab), f32(r, 1)},
			outputs: []int{0, 1}, flops: 4 * float64(r) * float64(d) * float64(vocab),
			run: func(be backend.Backend, t tensors) { be.LinearCE(t[0], t[1], backend.Tensor{}, t[2], t[3], t[4], t[5]) },
		}
	}}
}

// divergence has a teacher with a head of its own, equal to the student's: a third product
// with the vocabulary. Temperatures other than 1 show where one is left out.
func divergence(name string, tolerance float64, dt backend.DType) operation {
	return operation{name, tolerance, func(rng *rand.Rand, large bool) call {
		r, d, vocab := between(rng, large, 1, 20, 4096), between(rng, large, 1, 60, 4096), between(rng, large, 2, 700, 32064)
		return call{
			tensors: []tensor{out(r, 1), out(r, d), f32(r, d).as(dt).of(half), f32(vocab, d).as(dt).of(half), f32(r, d).as(dt).of(half), f32(r, 1)},
			outputs: []int{0, 1}, flops: 6 * float64(r) * float64(d) * float64(vocab),
			run: func(be backend.Backend, t tensors) {
				be.LinearKL(t[0], t[1], backend.Tensor{}, t[2], t[3], t[4], t[3], t[5], backend.KL{TeacherTemp: 2, StudentTemp: 2, Scale: 4})
			},
		}
	}}
}
