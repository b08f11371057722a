package tape

import "vgid/model/backend"

// RoPE rotates columns [from, to) of x in place, heads of one width, by the
// angles of each row, cos and sin [T, width/2].
func (t *Tape) RoPE(x Var, from, to, heads int, cos, sin backend.Tensor) {
	if t.vals[x].saved {
		panic("tape: a value that the backward pass reads is about to be rotated")
	}
	t.be.RoPE(t.vals[x].data.ColRange(from, to), cos, sin, heads, false)
	if t.needs(x) {
		t.record(node{op: opRoPE, out: x, idx: cos, idx2: sin, from: from, to: to, heads: heads})
	}
}

// Attention is backend.Attention of x = [q, k, v], which lie side by side:
// [T, (heads+2·kvHeads)·dim] to [T, heads·dim].
func (t *Tape) Attention(x Var, p backend.Attention) Var {
	rec := t.needs(x)
	xd := t.vals[x].data
	q, k, v := splitQKV(xd, p)
	o := t.output(xd.Rows, q.Cols, rec)
	if !rec {
		t.be.Attention(t.vals[o].data, backend.Tensor{}, q, k, v, p)
		return o
	}
	lse := t.stat.get(xd.Rows, p.Heads)
	t.be.Attention(t.vals[o].data, lse, q, k, v, p)
	t.vals[x].saved, t.vals[o].saved = true, true
	return t.record(node{op: opAttention, out: o, in: [2]Var{x}, aux: [2]backend.Tensor{lse}, attn: p})
}

// dq, dk and dv are written and not added to, hence the temporary where x has a gradient already.
func backAttention(t *Tape, n *node) {
	q, k, v := splitQKV(t.vals[n.in[0]].data, n.attn)
	d, tmp := t.gradSet(n.in[0])
	dq, dk, dv := splitQKV(d, n.attn)
	t.be.AttentionBackward(dq, dk, dv, t.GradOf(n.out), t.vals[n.out].data, n.aux[0], q, k, v, n.attn)
	t.gradSetDone(n.in[0], d, tmp)
	t.stat.put(n.aux[0])
}

// CachedAttention lets the queries of x = [q, k, v] see keys and values of a
// cache: k and v of x are first written to rows idx [T, 1] of the cache, then
// p.KV names the rows each sequence sees. It is never recorded.
func (t *Tape) CachedAttention(x Var, keys, values, idx backend.Tensor, p backend.Attention) Var {
	xd := t.vals[x].data
	q, k, v := splitQKV(xd, p)
	t.be.ScatterRows(keys, k, idx)
	t.be.ScatterRows(values, v, idx)
	o := t.output(xd.Rows, q.Cols, false)
	t.be.Attention(t.vals[o].data, backend.Tensor{}, q, keys, values, p)
	return o
}

// splitQKV gives views: columns of one matrix, with its stride.
func splitQKV(x backend.Tensor, p backend.Attention) (q, k, v backend.Tensor) {
	a := p.Heads * p.HeadDim
	b := a + p.KVHeads*p.HeadDim
	return x.ColRange(0, a), x.ColRange(a, b), x.ColRange(b, b+p.KVHeads*p.HeadDim)
}
