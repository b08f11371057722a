package ref

import (
	"math"

	"vgid/model/backend"
)

// RoPE implements backend.Backend.
func (b *Backend) RoPE(x, cos, sin backend.Tensor, heads int, inverse bool) {
	if !b.ready(backend.CheckRoPE(x, cos, sin, heads)) {
		return
	}
	m, ok := b.mats("rope", x, cos, sin)
	if !ok {
		return
	}
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

// Attention implements backend.Backend. A query that sees no key gets a zero
// row and lse = -Inf.
func (b *Backend) Attention(o, lse, q, k, v backend.Tensor, p backend.Attention) {
	if !b.ready(backend.CheckAttention(o, lse, q, k, v, p)) {
		return
	}
	m, ok := b.mats("attention", o, lse, q, k, v)
	if !ok {
		return
	}
	queries(p, func(row, head, from, to, qCol, kCol int) {
		scores := make([]float64, to-from)
		for i := range scores {
			scores[i] = float64(p.Scale) * dot(m[2], row, qCol, m[3], from+i, kCol, p.HeadDim)
		}
		total := logSumExp(scores)
		if !lse.IsZero() {
			m[1].set(row, head, total)
		}
		for c := range p.HeadDim {
			sum := 0.0
			for i, s := range scores {
				sum += math.Exp(s-total) * m[4].at(from+i, kCol+c)
			}
			m[0].set(row, qCol+c, sum)
		}
	})
}

// AttentionBackward implements backend.Backend. With P the probabilities:
// dv = Pᵀ·do, dP = do·vᵀ, dS = P·(dP - Σ do·o), dq = scale·dS·k, dk = scale·dSᵀ·q.
func (b *Backend) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v backend.Tensor, p backend.Attention) {
	if !b.ready(backend.CheckAttentionBackward(dq, dk, dv, do, o, lse, q, k, v, p)) {
		return
	}
	m, ok := b.mats("attention_backward", dq, dk, dv, do, o, lse, q, k, v)
	if !ok {
		return
	}
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
		delta := dot(m[3], row, qCol, m[4], row, qCol, p.HeadDim)
		grad := make([]float64, p.HeadDim)
		for i := from; i < to; i++ {
			prob := math.Exp(scale*dot(m[6], row, qCol, m[7], i, kCol, p.HeadDim) - m[5].at(row, head))
			ds := scale * prob * (dot(m[3], row, qCol, m[8], i, kCol, p.HeadDim) - delta)
			for c := range p.HeadDim {
				grad[c] += ds * m[7].at(i, kCol+c)
				m[1].add(i, kCol+c, ds*m[6].at(row, qCol+c))
				m[2].add(i, kCol+c, prob*m[3].at(row, qCol+c))
			}
		}
		for c, g := range grad {
			m[0].set(row, qCol+c, g)
		}
	})
}

// dot multiplies n columns of a row of x and of a row of y.
func dot(x matrix, xRow, xCol int, y matrix, yRow, yCol, n int) float64 {
	sum := 0.0
	for i := range n {
		sum += x.at(xRow, xCol+i) * y.at(yRow, yCol+i)
	}
	return sum
}

// logSumExp is log Σ exp(x), -Inf of nothing.
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
