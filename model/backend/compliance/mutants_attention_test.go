package compliance

import (
	"math"

	"vgid/model/backend"
	"vgid/model/ref"
)

// attendBy is attention over the keys [0, seen(lq, lk, j)) of each query j,
// with head h reading KV head kvHead(h).
func attendBy(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention, seen func(lq, lk, j int) int, kvHead func(h int) int) {
	for s := range p.Q.Start {
		lq, lk := int(p.Q.Len[s]), int(p.KV.Len[s])
		for j := range lq {
			keys, row := max(0, min(lk, seen(lq, lk, j))), int(p.Q.Start[s])+j
			for h := range p.Heads {
				qc, kc, total := h*p.HeadDim, kvHead(h)*p.HeadDim, 0.0
				sums, scores, top := make([]float64, p.HeadDim), make([]float64, keys), math.Inf(-1)
				for i := range keys {
					for c := range p.HeadDim {
						scores[i] += float64(p.Scale) * b.At(q, row, qc+c) * b.At(k, int(p.KV.Start[s])+i, kc+c)
					}
					top = max(top, scores[i])
				}
				for i, score := range scores {
					e := math.Exp(score - top)
					total += e
					for c := range sums {
						sums[c] += e * b.At(v, int(p.KV.Start[s])+i, kc+c)
					}
				}
				for c := range sums {
					b.Set(o, row, qc+c, sums[c]/max(total, math.SmallestNonzeroFloat64))
				}
				if !lse.IsZero() {
					b.Set(lse, row, h, top+math.Log(total))
				}
			}
		}
	}
}

// masked is attention with another causal mask.
func masked(seen func(lq, lk, j int) int) replaced {
	return replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		attendBy(b, o, lse, q, k, v, p, func(lq, lk, j int) int {
			if !p.Causal {
				return lk
			}
			return seen(lq, lk, j)
		}, func(h int) int { return h * p.KVHeads / p.Heads })
	}}
}

// rowsOf calls f for every row of every sequence.
func rowsOf(s backend.Seqs, f func(row, seq int)) {
	for i := range s.Start {
		for j := range s.Len[i] {
			f(int(s.Start[i]+j), i)
		}
	}
}

var attentionMutants = []mutant{
	{"rope on neighbouring pairs", "rope", "rope", replaced{RoPE: func(b *ref.Backend, x, cos, sin tensor, heads int, inverse bool) {
		half := x.Cols / (2 * heads)
		old := clone(b, x)
		place := func(c int) int { // of a column when the pairs are split into halves
			i := c % (2 * half)
			return c - i + i%2*half + i/2
		}
		each(x, func(r, c int) { b.Set(x, r, place(c), b.At(old, r, c)) })
		b.RoPE(x, cos, sin, heads, inverse)
		old = clone(b, x)
		each(x, func(r, c int) { b.Set(x, r, c, b.At(old, r, place(c))) })
	}}},
	{"rope turns the gradient forward", "rope", "rope", replaced{RoPE: func(b *ref.Backend, x, cos, sin tensor, heads int, _ bool) {
		b.RoPE(x, cos, sin, heads, false)
	}}},
	{"rope reads what it wrote", "rope", "rope", replaced{RoPE: func(b *ref.Backend, x, cos, sin tensor, heads int, inverse bool) {
		half := x.Cols / (2 * heads)
		old := clone(b, x)
		b.RoPE(x, cos, sin, heads, inverse)
		each(x, func(r, c int) {
			if i := c % (2 * half); i >= half {
				si := b.At(sin, r, i-half)
				if inverse {
					si = -si
				}
				b.Set(x, r, c, b.At(x, r, c)+si*(b.At(x, r, c-half)-b.At(old, r, c-half)))
			}
		})
	}}},
	{"rope turns the first head only", "rope", "rope", replaced{RoPE: func(b *ref.Backend, x, cos, sin tensor, heads int, inverse bool) {
		if heads > 0 && x.Cols%(2*heads) == 0 {
			x = x.ColRange(0, x.Cols/heads)
			heads = 1
		}
		b.RoPE(x, cos, sin, heads, inverse)
	}}},

	{"causal mask one key short", "attention", "attention", masked(func(lq, lk, j int) int { return lk - lq + j })},
	{"causal mask one key too far", "attention", "attention", masked(func(lq, lk, j int) int { return lk - lq + j + 2 })},
	{"causal mask from the first key", "attention", "attention", masked(func(_, _, j int) int { return j + 1 })},
	{"causal mask shows one key at least", "attention", "", masked(func(lq, lk, j int) int { return max(1, lk-lq+j+1) })},
	{"no causal mask when decoding several", "attention", "attention", masked(func(lq, lk, j int) int {
		if lq < lk {
			return lk
		}
		return j + 1
	})},
	{"query heads take key heads in turn", "attention", "attention", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		attendBy(b, o, lse, q, k, v, p, func(lq, lk, j int) int {
			if p.Causal {
				return lk - lq + j + 1
			}
			return lk
		}, func(h int) int { return h % p.KVHeads })
	}}},
	{"softmax without subtracting the maximum", "attention with large scores", "", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		b.Attention(o, lse, q, k, v, p)
		rowsOf(p.Q, func(row, _ int) {
			for c := range o.Cols {
				if !lse.IsZero() && b.At(lse, row, c/p.HeadDim) > math.Log(math.MaxFloat32) {
					b.Set(o, row, c, math.NaN()) // ∞/∞
				}
			}
		})
	}}},
	{"attention of the packed rows as one sequence", "attention", "attention", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		if n := p.Q.N(); n > 1 {
			join := func(s backend.Seqs) backend.Seqs {
				return backend.Seqs{Start: s.Start[:1], Len: []int32{s.Start[n-1] + s.Len[n-1] - s.Start[0]}}
			}
			p.Q, p.KV = join(p.Q), join(p.KV)
		}
		b.Attention(o, lse, q, k, v, p)
	}}},
	{"attention leaves queries without keys alone", "attention", "", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		before := clone(b, o)
		b.Attention(o, lse, q, k, v, p)
		rowsOf(p.Q, func(row, seq int) {
			if p.KV.Len[seq] == 0 {
				b.Copy(o.RowRange(row, row+1), before.RowRange(row, row+1))
			}
		})
	}}},
	{"attention reads past the keys, times 0", "attention", "", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		b.Attention(o, lse, q, k, v, p)
		rowsOf(p.Q, func(row, seq int) {
			if next := int(p.KV.Start[seq] + p.KV.Len[seq]); next < v.Rows {
				b.Set(o, row, 0, b.At(o, row, 0)+0*b.At(v, next, 0))
			}
		})
	}}},
	{"attention clears the rows of nobody", "attention", "", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		b.Fill(o, 0)
		b.Attention(o, lse, q, k, v, p)
	}}},
	{"attention needs lse", "attention", "", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		if !lse.IsZero() {
			b.Attention(o, lse, q, k, v, p)
		}
	}}},
	{"attention keeps lse in base 2", "attention", "attention", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		b.Attention(o, lse, q, k, v, p)
		if !lse.IsZero() {
			scale(b, lse, 1/math.Ln2)
		}
	}}},
	{"attention scales twice", "attention", "attention", replaced{Attention: func(b *ref.Backend, o, lse, q, k, v tensor, p backend.Attention) {
		p.Scale *= p.Scale
		b.Attention(o, lse, q, k, v, p)
	}}},

	{"attention_backward without the sum of do·o", "attention", "attention", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		b.AttentionBackward(dq, dk, dv, do, fresh(b, o.Rows, o.Cols), lse, q, k, v, p)
	}}},
	{"attention_backward does not scale dk", "attention", "attention", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
		rowsOf(p.KV, func(row, _ int) { scale(b, dk.RowRange(row, row+1), 1/float64(p.Scale)) })
	}}},
	{"attention_backward is not causal", "attention", "attention", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		p.Causal = false
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
	}}},
	{"attention_backward keeps one query head of a group", "attention", "attention", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
		do = clone(b, do)
		each(do, func(r, c int) {
			if group := p.Heads / p.KVHeads; c/p.HeadDim%group != group-1 {
				b.Set(do, r, c, 0)
			}
		})
		// With delta 0 where do is 0 the other heads give nothing.
		b.AttentionBackward(clone(b, dq), dk, dv, do, o, lse, q, k, v, p)
	}}},
	{"attention_backward adds to dv", "attention", "", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		before := clone(b, dv)
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
		b.Axpy(dv, 1, before)
	}}},
	{"attention_backward leaves keys nobody asks for alone", "attention", "", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		before := clone(b, dk)
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
		rowsOf(p.KV, func(row, seq int) {
			if p.Q.Len[seq] == 0 {
				b.Copy(dk.RowRange(row, row+1), before.RowRange(row, row+1))
			}
		})
	}}},
	{"attention_backward clears the rows of nobody", "attention", "", replaced{AttentionBackward: func(b *ref.Backend, dq, dk, dv, do, o, lse, q, k, v tensor, p backend.Attention) {
		b.Fill(dq, 0)
		b.AttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)
	}}},
}
