package cpu

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// queryBlock is how many queries share one matrix of scores: enough to reuse
// the keys in cache, few enough that the scores stay there too.
const queryBlock = 64

// attentionTask computes one block of queries of one head per chunk.
// Scores exist for one block of queries only, so that memory grows with the length of a
// sequence and not with its square; all keys of a block are there at once, so the softmax needs
// no second pass.
type attentionTask struct {
	o, lse, q, k, v mat
	p               backend.Attention
	blocks          int // per sequence, that of the longest
}

// Attention implements backend.Device.
func (b *Device) Attention(o, lse, q, k, v backend.Tensor, p backend.Attention) {
	const op = "attention"
	t := &b.tasks.attention
	*t = attentionTask{
		o: b.mat(op, o), lse: b.mat(op, lse), q: b.mat(op, q), k: b.mat(op, k), v: b.mat(op, v),
		p: p, blocks: pieces(p.Q.MaxLen(), queryBlock),
	}
	if b.Err() == nil {
		b.pool.run(p.Q.N()*p.Heads*t.blocks, t)
	}
}

// span is a block of queries of one sequence and the keys they see.
// Of queries and keys the last ones belong together: with more keys than queries, as in
// decoding, the first query sees the keys that were there before it. With fewer, the first
// queries see nothing.
type span struct {
	q0, q1 int // rows of q
	k0, k1 int // rows of k that the last query sees
	first  int // how many keys the first query sees; each later one sees one more when causal
	causal bool
}

// blockOf returns block i of sequence s; ok is false when it has fewer.
func blockOf(p *backend.Attention, s, i int) (b span, ok bool) {
	lq, lk := int(p.Q.Len[s]), int(p.KV.Len[s])
	from, to := i*queryBlock, min((i+1)*queryBlock, lq)
	if from >= to {
		return b, false
	}
	b = span{q0: int(p.Q.Start[s]) + from, q1: int(p.Q.Start[s]) + to, k0: int(p.KV.Start[s]), causal: p.Causal}
	b.first = lk
	seen := lk
	if p.Causal {
		b.first = lk - lq + from + 1
		seen = max(0, lk-lq+to)
	}
	b.k1 = b.k0 + seen
	return b, true
}

// seen is how many keys query i of the block sees.
func (b span) seen(i int) int {
	if !b.causal {
		return b.first
	}
	return max(0, b.first+i)
}

// block is rows [r0, r1) and n columns from c of m, as an operand.
func (m mat) block(r0, c int) []float32 { return m.d[r0*m.ld+c:] }

// Heads that share keys (grouped-query attention) are neighbours: head h reads key head
// h/(Heads/KVHeads).
func (t *attentionTask) do(chunk int, s *scratch) {
	p := &t.p
	blk, ok := blockOf(p, chunk/t.blocks/p.Heads, chunk%t.blocks)
	if !ok {
		return
	}
	head := chunk / t.blocks % p.Heads
	d := p.HeadDim
	qc, kc := head*d, head/(p.Heads/p.KVHeads)*d
	rows, keys := blk.q1-blk.q0, blk.k1-blk.k0
	if keys == 0 {
		for i := range rows {
			clear(t.o.row(blk.q0 + i)[qc : qc+d])
			if t.lse.given() {
				t.lse.row(blk.q0 + i)[head] = float32(math.Inf(-1))
			}
		}
		return
	}
	scores := s.floats(rows * keys)
	g := gemmTask{
		m: rows, n: keys, k: d,
		a: source{f: t.q.block(blk.q0, qc), rs: t.q.ld, cs: 1},
		b: source{f: t.k.block(blk.k0, kc), rs: 1, cs: t.k.ld},
		c: scores, ldc: keys, alpha: p.Scale,
	}
	g.local(s)
	// Rows are divided by their sums at the end, over d elements and not over all keys.
	var inverse [queryBlock]float32
	for i := range rows {
		row := scores[i*keys:][:keys]
		n := blk.seen(i)
		top := simd.Max(row[:n])
		sum := simd.ExpSum(row[:n], row[:n], top)
		clear(row[n:])
		inverse[i] = 1 / sum
		if n == 0 {
			inverse[i] = 0
		}
		if t.lse.given() {
			t.lse.row(blk.q0 + i)[head] = top + float32(math.Log(float64(sum)))
		}
	}
	g = gemmTask{
		m: rows, n: d, k: keys,
		a: source{f: scores, rs: keys, cs: 1},
		b: source{f: t.v.block(blk.k0, kc), rs: t.v.ld, cs: 1},
		c: t.o.block(blk.q0, qc), ldc: t.o.ld, alpha: 1,
	}
	g.local(s)
	for i := range rows {
		o := t.o.row(blk.q0 + i)[qc : qc+d]
		simd.Scale(o, inverse[i], o)
	}
}

// attentionBackTask computes the gradients of one key head of one sequence per
// chunk, over its query heads and blocks of queries in order.
// All queries that touch a row of dk and dv are in one chunk, since sums need one order. The
// price is less to share out than forward: a batch of one sequence and one key head keeps one
// thread busy.
type attentionBackTask struct {
	dq, dk, dv, do_, o, lse, q, k, v mat
	p                                backend.Attention
}

// AttentionBackward implements backend.Device.
func (b *Device) AttentionBackward(dq, dk, dv, do, o, lse, q, k, v backend.Tensor, p backend.Attention) {
	const op = "attention_backward"
	t := &b.tasks.attentionBack
	*t = attentionBackTask{
		dq: b.mat(op, dq), dk: b.mat(op, dk), dv: b.mat(op, dv), do_: b.mat(op, do), o: b.mat(op, o),
		lse: b.mat(op, lse), q: b.mat(op, q), k: b.mat(op, k), v: b.mat(op, v),
		p: p,
	}
	if b.Err() == nil {
		b.pool.run(p.Q.N()*p.KVHeads, t)
	}
}

func (t *attentionBackTask) do(chunk int, s *scratch) {
	p := &t.p
	seq, kvHead := chunk/p.KVHeads, chunk%p.KVHeads
	d, group := p.HeadDim, p.Heads/p.KVHeads
	kc := kvHead * d
	for i := int(p.KV.Start[seq]); i < int(p.KV.Start[seq]+p.KV.Len[seq]); i++ {
		clear(t.dk.row(i)[kc : kc+d])
		clear(t.dv.row(i)[kc : kc+d])
	}
	for head := kvHead * group; head < (kvHead+1)*group; head++ {
		for i := 0; ; i++ {
			blk, ok := blockOf(p, seq, i)
			if !ok {
				break
			}
			// Blocks take turns in the same memory: only the loop's own takings survive it.
			used := s.used
			t.block(blk, head, kc, s)
			s.used = used
		}
	}
}

// block adds the gradients of one block of queries of one head. With P the
// probabilities and dP = do·vᵀ: dv += Pᵀ·do, dS = scale·P·(dP - Σ do·o),
// dq = dS·k, dk += dSᵀ·q.
func (t *attentionBackTask) block(blk span, head, kc int, s *scratch) {
	d := t.p.HeadDim
	qc := head * d
	rows, keys := blk.q1-blk.q0, blk.k1-blk.k0
	if keys == 0 {
		for i := range rows {
			clear(t.dq.row(blk.q0 + i)[qc : qc+d])
		}
		return
	}
	q := source{f: t.q.block(blk.q0, qc), rs: t.q.ld, cs: 1}
	do := source{f: t.do_.block(blk.q0, qc), rs: t.do_.ld, cs: 1}
	prob, ds := s.floats(rows*keys), s.floats(rows*keys)
	g := gemmTask{
		m: rows, n: keys, k: d, a: q, b: source{f: t.k.block(blk.k0, kc), rs: 1, cs: t.k.ld},
		c: prob, ldc: keys, alpha: t.p.Scale,
	}
	g.local(s)
	g = gemmTask{
		m: rows, n: keys, k: d, a: do, b: source{f: t.v.block(blk.k0, kc), rs: 1, cs: t.v.ld},
		c: ds, ldc: keys, alpha: 1,
	}
	g.local(s)
	for i := range rows {
		n := blk.seen(i)
		pr, dr := prob[i*keys:][:keys], ds[i*keys:][:keys]
		delta := simd.Dot(t.do_.row(blk.q0 + i)[qc:qc+d], t.o.row(blk.q0 + i)[qc:qc+d])
		simd.ExpSum(pr[:n], pr[:n], t.lse.row(blk.q0 + i)[head])
		simd.SoftmaxBackward(dr[:n], pr[:n], dr[:n], delta, t.p.Scale)
		clear(pr[n:])
		clear(dr[n:])
	}
	g = gemmTask{
		m: rows, n: d, k: keys, a: source{f: ds, rs: keys, cs: 1},
		b: source{f: t.k.block(blk.k0, kc), rs: t.k.ld, cs: 1},
		c: t.dq.block(blk.q0, qc), ldc: t.dq.ld, alpha: 1,
	}
	g.local(s)
	g = gemmTask{
		m: keys, n: d, k: rows, a: source{f: prob, rs: 1, cs: keys}, b: do,
		c: t.dv.block(blk.k0, kc), ldc: t.dv.ld, alpha: 1, beta: 1,
	}
	g.local(s)
	g = gemmTask{
		m: keys, n: d, k: rows, a: source{f: ds, rs: 1, cs: keys}, b: q,
		c: t.dk.block(blk.k0, kc), ldc: t.dk.ld, alpha: 1, beta: 1,
	}
	g.local(s)
}
