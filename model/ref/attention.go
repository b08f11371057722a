package ref

import (
	"math"

	"vgid/model/backend"
)

// RoPE implements backend.Device.
func (b *Device) RoPE(x, cos, sin backend.Tensor, heads int, inverse bool) {
	m := mats(x, cos, sin)
	half := x.Cols / (2 * heads)
	for r := range x.Rows {
		for h := range heads {
			for i := range half {
				co, si := m[1].at(r, i), m[2].at(r, i)
				if inverse {
					si = -si
				}
				first, second := h*2*half+i, h*2*half+half+i
				u, v := m[0].at(r, first), m[0].at(r, second)
				m[0].set(r, first, u*co-v*si)
				m[0].set(r, second, v*co+u*si)
			}
		}
	}
}

// queries calls f for every query row and head with the rows of the keys it
// sees, [from, to), and the first columns of the head in q and in k.
// It is the one place that says what causal means where there are more keys than queries, or
// fewer: the last query belongs to the last key.
// group query heads share a key head, those behind each other (grouped-query attention, Ainslie et
// al. 2023).
func queries(p backend.Attention, f func(row, head, from, to, qCol, kCol int)) {
	group := p.Heads / p.KVHeads
	for s := range p.Q.Start {
		lq, lk := int(p.Q.Len[s]), int(p.KV.Len[s])
		for j := range lq {
			seen := lk
			if p.Causal {
				seen = min(lk, max(0, lk-lq+j+1))
			}
			from := int(p.KV.Start[s])
			for h := range p.Heads {
				f(int(p.Q.Start[s])+j, h, from, from+seen, h*p.HeadDim, h/group*p.HeadDim)
			}
		}
	}
}

// Attention implements backend.Device. A query that sees no key gets a zero
// row and lse = -Inf.
// Scores of one row exist at a time; their softmax is exp(score − lse).
func (b *Device) Attention(o, lse, q, k, v backend.Tensor, p backend.Attention) {
	m := mats(o, lse, q, k, v)
	queries(p, func(row, head, from, to, qCol, kCol int) {
		scores, query := make([]float64, to-from), m[2].row(row, qCol)[:p.HeadDim]
		for i := range scores {
			scores[i] = float64(p.Scale) * dot(query, m[3].row(from+i, kCol))
		}
		total := logSumExp(scores)
		if !lse.IsZero() {
			m[1].set(row, head, total)
		}
		sums := make([]float64, p.HeadDim)
		for i, s := range scores {
			prob, value := math.Exp(s-total), m[4].row(from+i, kCol)
			for c := range sums {
				sums[c] += prob * value[c]
			}
		}
		for c, sum := range sums {
			m[0].set(row, qCol+c, sum)
		}
	})
}

// AttentionBackward implements backend.Device. With P the probabilities:
// dv = Pᵀ·do, dP = do·vᵀ, dS = P·(dP - Σ do·o), dq = scale·dS·k, dk = scale·dSᵀ·q.
func (b *Device) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v backend.Tensor, p backend.Attention) {
	m := mats(dq, dk, dv, do, o, lse, q, k, v)
	// Gradients are written and not added to, so that rows of sequences begin at zero; rows between
	// them stay.
	for s := range p.KV.Start {
		for r := range int(p.KV.Len[s]) {
			for c := range k.Cols {
				m[1].set(int(p.KV.Start[s])+r, c, 0)
				m[2].set(int(p.KV.Start[s])+r, c, 0)
			}
		}
	}
	scale := float64(p.Scale)
	queries(p, func(row, head, from, to, qCol, kCol int) {
		grad, query, up := make([]float64, p.HeadDim), m[6].row(row, qCol)[:p.HeadDim], m[3].row(row, qCol)[:p.HeadDim]
		delta := dot(up, m[4].row(row, qCol))
		for i := from; i < to; i++ {
			key := m[7].row(i, kCol)
			prob := math.Exp(scale*dot(query, key) - m[5].at(row, head))
			ds := scale * prob * (dot(up, m[8].row(i, kCol)) - delta)
			for c := range grad {
				grad[c] += ds * key[c]
			}
			m[1].addTimes(i, kCol, ds, query)
			m[2].addTimes(i, kCol, prob, up)
		}
		for c, g := range grad {
			m[0].set(row, qCol+c, g)
		}
	})
}

// dot is Σ x·y.
func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

// logSumExp is log Σ exp(x), -Inf of nothing.
// The largest element is taken out first: exponentials of scores overflow in float64, too.
func logSumExp(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = math.Max(top, v)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}
