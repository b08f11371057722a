package kernels

import (
	"fmt"
	"math"
	"testing"

	"vgid/model/backend"
)

// attended is one attention to run: lengths of the sequences, and which path.
type attended struct {
	heads, kvHeads, dim int
	lq, lk              []int32
	causal              bool
	size                float64 // of the elements of q and k
	opposed             bool    // q is positive, k negative: every score is
	tensorCores         bool
}

// packed puts sequences one after the other with rows of nobody between them.
func packed(s *suite, lengths []int32) (seqs backend.Seqs, table *tensor, rows int) {
	seqs = backend.Seqs{Len: lengths, Start: make([]int32, len(lengths))}
	rows = s.rng.IntN(3)
	var flat []int32
	for i, n := range lengths {
		seqs.Start[i] = int32(rows)
		flat = append(flat, int32(rows), n)
		rows += int(n) + s.rng.IntN(3)
	}
	return seqs, s.integers(2, flat...), rows
}

// attend runs the forward and the backward pass and compares.
func attend(s *suite, a attended) {
	if s.err != nil {
		return // found already: neither kernels nor the reference need run again
	}
	qSeqs, qTable, qRows := packed(s, a.lq)
	kvSeqs, kvTable, kvRows := packed(s, a.lk)
	dt := backend.BF16
	if !a.tensorCores {
		dt = s.dtype()
	}
	// Operands are columns of wider matrices; rows of nobody are NaN and must not
	// reach a result, not even times 0.
	operand := func(seqs backend.Seqs, rows, cols int, draw func() float64) *tensor {
		at := 0
		own := func() float64 {
			row := int32(at / cols)
			at++
			for i, from := range seqs.Start {
				if from <= row && row < from+seqs.Len[i] {
					return draw()
				}
			}
			return math.NaN()
		}
		if a.tensorCores {
			return s.place(dt, rows, cols, cols+8*s.rng.IntN(3), 8*s.rng.IntN(3), own)
		}
		return s.floats(dt, rows, cols, own)
	}
	scaled := func(sign float64) func() float64 {
		return func() float64 {
			if a.opposed {
				return sign * a.size * math.Abs(s.normal())
			}
			return a.size * s.normal()
		}
	}
	qCols, kvCols := a.heads*a.dim, a.kvHeads*a.dim
	q, k, v := operand(qSeqs, qRows, qCols, scaled(1)), operand(kvSeqs, kvRows, kvCols, scaled(-1)), operand(kvSeqs, kvRows, kvCols, s.normal)
	o, do := operand(qSeqs, qRows, qCols, s.normal), operand(qSeqs, qRows, qCols, s.normal)
	dq, dk, dv := operand(qSeqs, qRows, qCols, s.normal), operand(kvSeqs, kvRows, kvCols, s.normal), operand(kvSeqs, kvRows, kvCols, s.normal)
	lse := s.floats(backend.F32, qRows, a.heads, s.normal)
	delta := s.scratch(4 * qRows * a.heads)

	p := backend.Attention{Q: qSeqs, KV: kvSeqs, Heads: a.heads, KVHeads: a.kvHeads, HeadDim: a.dim,
		Causal: a.causal, Scale: float32(1 / math.Sqrt(float64(a.dim)))}
	plan := PlanAttention(Attention{Heads: a.heads, KVHeads: a.kvHeads, HeadDim: a.dim, Sequences: len(a.lq),
		MaxQ: qSeqs.MaxLen(), MaxKV: kvSeqs.MaxLen(), TensorCores: a.tensorCores})
	causal := map[bool]int{true: 1}[a.causal]
	tail := []any{q, k, v, qTable, kvTable, a.heads / a.kvHeads, p.Scale, causal}
	if plan.Dim {
		tail = []any{q, k, v, qTable, kvTable, a.heads / a.kvHeads, a.dim, p.Scale, causal}
	}
	run := func(kernel string, g Geometry, first ...any) { s.launch(kernel, g, append(first, tail...)...) }
	run(plan.ForwardKernel, plan.Forward, o, lse)
	s.launch("attention_delta", RowsByWarp(qRows*a.heads), delta, do, o, qRows, a.heads, a.dim)
	run(plan.DQKernel, plan.DQ, dq, do, lse, delta)
	run(plan.DKVKernel, plan.DKV, dk, dv, do, lse, delta)

	// The reference sums into its gradients, so it gets wide ones.
	wide := map[*tensor]backend.Tensor{}
	for _, x := range []*tensor{o, dq, dk, dv} {
		buf, err := s.ref.Alloc(backend.F32, x.t.Rows*x.t.Cols)
		if err != nil {
			s.fail("%v", err)
			return
		}
		wide[x] = backend.View(buf, 0, x.t.Rows, x.t.Cols)
		s.ref.Copy(wide[x], x.t)
	}
	s.ref.Attention(wide[o], lse.t, q.t, k.t, v.t, p)
	s.ref.AttentionBackward(wide[dq], wide[dk], wide[dv], do.t, wide[o], lse.t, q.t, k.t, v.t, p)
	for x, w := range wide {
		s.ref.Copy(x.t, w)
	}
	what := fmt.Sprintf("%s %+v", plan.ForwardKernel, a)
	// Probabilities and their gradients are rounded to bf16 on the way through the
	// tensor cores, so their errors are 1/256 of the largest of a sum's terms.
	rel, abs, grad := 2e-5, 1e-5, 5e-5
	if a.size > 1 {
		grad = 3e-3
	}
	if dt == backend.BF16 {
		abs, grad = 0.01, 0.05*a.size
	}
	s.same(what+" lse", rel, 1e-5, lse)
	s.same(what+" o", rel, abs, o)
	s.same(what+" dq", 5*rel, grad, dq)
	s.same(what+" dk", 5*rel, grad, dk)
	s.same(what+" dv", 5*rel, grad, dv)
	s.finish(what)
}

// lengths are pairs of query and key counts that meet every edge: decoding,
// more keys than queries and the reverse (causal queries that see nothing),
// empty sequences, and the tiles' ends.
func lengths(s *suite, i int) (lq, lk []int32) {
	n := func(most int) int32 { return int32(1 + s.rng.IntN(most)) }
	switch i {
	case 0:
		return []int32{n(150)}, []int32{n(150)}
	case 1:
		return []int32{1, 1, 1}, []int32{n(130), 1, 64}
	case 2:
		return []int32{0, n(40), 0, 5}, []int32{n(40), n(40), 0, 0}
	case 3:
		m := n(200)
		return []int32{m, 64}, []int32{m, 64}
	case 4:
		return []int32{70, n(20)}, []int32{33, n(200)}
	}
	return []int32{n(10), n(10)}, []int32{n(10), n(10)}
}

func attentionCheck(name string, tensorCores bool, dims ...int) check {
	return check{name, func(s *suite) {
		for i := range 6 {
			kv := 1 + s.rng.IntN(2)
			a := attended{heads: kv * (1 + s.rng.IntN(3)), kvHeads: kv, dim: choose(s, dims...), causal: s.rng.IntN(3) > 0, size: 1, tensorCores: tensorCores}
			switch i {
			case 4:
				a.size = 4 // scores in the tens
			case 5:
				a.size, a.opposed = 6, true // all of them about -200: e^-lse is no float
			}
			a.lq, a.lk = lengths(s, i)
			attend(s, a)
		}
	}}
}

var attentionOfAny = attentionCheck("any size", false, 1, 5, 8, 16, 32, 40, 80, 96, 128)

var attentionOf = map[int]check{
	64:  attentionCheck("tensor cores, 64", true, 64),
	80:  attentionCheck("tensor cores, 80", true, 80),
	128: attentionCheck("tensor cores, 128", true, 128),
}

func TestAttention(t *testing.T) {
	runChecks(t, 4, attentionOfAny, attentionOf[64], attentionOf[80], attentionOf[128])
}

func TestAttentionMutants(t *testing.T) {
	t.Parallel()
	const any = "attention_any.cu"
	runMutants(t, 4,
		mutant{"causal one key too far", any, "attention.h", "lk - lq + j + 1", "lk - lq + j + 2", attentionOfAny},
		mutant{"causal from the first key", any, "attention.h", "min(lk, lk - lq + j + 1)", "min(lk, j + 1)", attentionOfAny},
		mutant{"first queries of a key left out", any, "attention.h", "max(0, i - (lk - lq))", "max(0, i - (lk - lq) + 16)", attentionOfAny},
		mutant{"starts taken for lengths", any, "attention.h", "{q[0], q[1], kv[0]", "{q[1], q[1], kv[0]", attentionOfAny},
		mutant{"sum not rescaled", any, any, "acc[(first + i) * dim + c] * keep[i]", "acc[(first + i) * dim + c]", attentionOfAny},
		mutant{"rows of nobody times 0", any, any, "r < n ? m.at(row + r, col + c) : 0.f", "m.at(row + min(r, n), col + c)", attentionOfAny},
		mutant{"keys overwritten while they are read", any, any, "    sync_threads();  // the keys have been read\n", "", attentionOfAny},
		mutant{"values overwritten while they are read", any, any, "    sync_threads();  // the values of the last round have been read\n", "", attentionOfAny},
		mutant{"probabilities read before they are there", any, any, "      sync_threads();  // every warp's probabilities are here\n", "", attentionOfAny},
		mutant{"queries overwritten while they are read", any, any, "      sync_threads();  // the queries of the last round have been read\n", "", attentionOfAny},
		mutant{"one query head of a key head", any, any, "head < (kv_head + 1) * group", "head < kv_head * group + 1", attentionOfAny},
		mutant{"key head of the query head's number", any, any, "kv_col = head / group * dim, j0 = blockIdx.x * QUERIES, pitch = dim | 1;\n  if (j0 >= seq.lq) return;\n  int queries = min(QUERIES, seq.lq - j0), last = seq.seen(j0 + queries - 1);\n  DYNAMIC_SHARED(float, smem);\n  float *q_tile = smem, *acc", "kv_col = head * dim, j0 = blockIdx.x * QUERIES, pitch = dim | 1;\n  if (j0 >= seq.lq) return;\n  int queries = min(QUERIES, seq.lq - j0), last = seq.seen(j0 + queries - 1);\n  DYNAMIC_SHARED(float, smem);\n  float *q_tile = smem, *acc", attentionOfAny},
		mutant{"gradient without the scale", any, any, "dk.set(row, col, scale * dk_acc[i])", "dk.set(row, col, dk_acc[i])", attentionOfAny},
		mutant{"delta left out", any, any, "p * (dp[i] - delta[(int64_t)row * heads + head]) : 0;\n    }\n    sync_warp", "p * dp[i] : 0;\n    }\n    sync_warp", attentionOfAny},
	)
}

func TestTensorCoreAttentionMutants(t *testing.T) {
	t.Parallel()
	const forward, dq, dkv, shared = "attention_bf16.cu", "attention_bf16_dq.cu", "attention_bf16_dkv.cu", "attention_mma.h"
	c := attentionOf[80] // the width that is no power of two
	runMutants(t, 4,
		mutant{"accumulator not rescaled", forward, forward, "acc[n][e] *= keep[e / 2]", "acc[n][e] *= 1", c},
		mutant{"sum not rescaled", forward, forward, "run.sum[row] * keep[row]", "run.sum[row]", c},
		mutant{"maximum of one lane", forward, forward, "    top = max(top, shfl_xor(top, 2));\n", "", c},
		mutant{"sum of two lanes", forward, forward, "    sum += shfl_xor(sum, 2);\n", "", c},
		mutant{"edge not masked", forward, forward, "if (i0 + KEYS > seen_by_all) mask", "if (false) mask", c},
		mutant{"edge by the last query", forward, forward, "seen_by_all = seq.seen(j0)", "seen_by_all = seq.seen(j0 + queries - 1)", c},
		mutant{"masked one key late", forward, forward, "e % 2 >= limit[e / 2]", "e % 2 > limit[e / 2]", c},
		mutant{"values used before they are here", forward, forward, "    cp_async_wait<0>();\n    sync_threads();  // the values are here", "    sync_threads();  // the values are here", c},
		mutant{"keys used before they are here", forward, forward, "    cp_async_wait<0>();\n    sync_threads();  // the keys are here", "    sync_threads();  // the keys are here", c},
		mutant{"keys overwritten while they are read", forward, forward, "    sync_threads();  // the values are here; the keys' tile is free\n", "", c},
		mutant{"values overwritten while they are read", forward, forward, "    sync_threads();  // the keys are here; the values' tile is free\n", "", c},
		mutant{"rows past the sequence written", forward, forward, "if (row + h * 8 >= seq.lq) continue;", "", c},
		mutant{"lse in base 2", forward, forward, "fmadd(log2_fast(sum), LN2, run.top[h] * scale)", "fmadd(log2_fast(sum), 1, run.top[h] * scale)", c},
		mutant{"heads of a group mixed up", forward, forward, "k = head_of(x.k, x.k_l, seq.k0, head / group * D)", "k = head_of(x.k, x.k_l, seq.k0, head % group * D)", c},
		mutant{"operands of the next product swapped", forward, "tile.h", "a[1] = pack_bf16(left[2], left[3])", "a[1] = pack_bf16(right[0], right[1])", c},
		mutant{"rows of nobody times 0", forward, "tile.h", "r < rows ? from : nullptr, r < rows);\n  }", "from, true);\n  }", c},

		mutant{"dq: stage used before it is here", dq, dq, "    cp_async_wait<1>();\n", "", c},
		mutant{"dq: stage overwritten while it is read", dq, dq, "    sync_threads();  // the stage may be loaded again\n", "", c},
		mutant{"dq: edge not masked", dq, dq, "bool edge = i0 + KEYS > seen_by_all", "bool edge = false", c},
		mutant{"dq: delta left out", dq, dq, "(dp[n][e] - delta[e / 2])", "dp[n][e]", c},
		mutant{"dq: lse of the other row", dq, dq, "-lse2[e / 2]", "-lse2[1 - e / 2]", c},
		mutant{"dq: scale forgotten", dq, dq, "acc, h, scale);", "acc, h, 1);", c},

		mutant{"dkv: stage used before it is here", dkv, dkv, "    cp_async_wait<1>();\n", "", c},
		mutant{"dkv: stage overwritten while it is read", dkv, dkv, "    sync_threads();  // the stage may be loaded again\n", "", c},
		mutant{"dkv: one query head of the group", dkv, dkv, "for (int t = 0; t < rounds * group; t++)", "for (int t = 0; t < rounds; t++)", c},
		mutant{"dkv: first queries left out", dkv, dkv, "seq.first_query(i0) / QUERIES * QUERIES", "(seq.first_query(i0) + QUERIES - 1) / QUERIES * QUERIES", c},
		mutant{"dkv: edge by the sequence only", dkv, dkv, " || seq.seen(j0) < i0 + OWN;", ";", c},
		mutant{"dkv: queries past the sequence", dkv, dkv, "j >= seq.lq || row", "row", c},
		mutant{"dkv: the other stage's lse", dkv, dkv, "const float* stats = all_stats + t % 2 * 2 * QUERIES", "const float* stats = all_stats + (t + 1) % 2 * 2 * QUERIES", c},
	)
}
