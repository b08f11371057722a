package tape

import "vgid/model/backend"

// Linear is y [T, Σout] = x·Wᵀ + b for every part of l side by side, plus the
// low-rank branches while the adapter is on.
func (t *Tape) Linear(x Var, l *Linear) Var {
	be, xd := t.be, t.vals[x].data
	trained, saves := false, false
	for i := range l.Parts {
		p := &l.Parts[i]
		w := t.use(p.W)
		b := t.use(p.B)
		a, lb := false, false
		if p.LoRA != nil && t.adapter {
			a, lb = t.use(p.LoRA.A), t.use(p.LoRA.B)
		}
		trained = trained || w || b || a || lb
		saves = saves || w || a
	}
	rec := t.grad && (trained || t.vals[x].needs)
	y := t.output(xd.Rows, l.Out(), rec)
	yd := t.vals[y].data

	weights, biases := partW, partB
	if !t.adapter {
		weights, biases = partBaseW, partBaseB
	}
	if w, ok := l.joined(weights); ok {
		b, whole := l.joined(biases)
		if whole {
			b = b.Reshape(1, b.Rows)
		}
		be.MatMul(yd, xd, w, backend.MatMul{TransB: true, Alpha: 1, Bias: b})
		if !whole {
			addBiases(t, yd, l)
		}
	} else {
		col := 0
		for i := range l.Parts {
			p := &l.Parts[i]
			var b backend.Tensor
			if p.B != nil {
				b = p.B.of(t.adapter)
			}
			be.MatMul(yd.ColRange(col, col+p.W.Value.Rows), xd, p.W.of(t.adapter), backend.MatMul{TransB: true, Alpha: 1, Bias: b})
			col += p.W.Value.Rows
		}
	}
	var mid backend.Tensor
	if t.adapter {
		mid = lowRank(t, yd, xd, l)
	}
	if !rec {
		t.act.put(mid)
		return y
	}
	if saves {
		t.vals[x].saved = true
	}
	return t.record(node{op: opLinear, out: y, in: [2]Var{x}, lin: l, aux: [2]backend.Tensor{mid}, idx2: t.rows})
}

// addBiases adds the biases of a joined product whose parts have them only in
// places; a row is added to every row by a product with no inner dimension to
// speak of, so this stays a rare path.
func addBiases(t *Tape, y backend.Tensor, l *Linear) {
	col := 0
	var ones backend.Tensor
	for i := range l.Parts {
		p := &l.Parts[i]
		if p.B != nil {
			if ones.IsZero() {
				ones = t.act.get(y.Rows, 1)
				t.be.Fill(ones, 1)
			}
			t.be.MatMul(y.ColRange(col, col+p.W.Value.Rows), ones, p.B.of(t.adapter), backend.MatMul{Alpha: 1, Beta: 1})
		}
		col += p.W.Value.Rows
	}
	t.act.put(ones)
}

// rank is the summed rank of the low-rank branches.
func (l *Linear) rank() int {
	r := 0
	for i := range l.Parts {
		if lo := l.Parts[i].LoRA; lo != nil {
			r += lo.A.Value.Rows
		}
	}
	return r
}

// lowRank adds the low-rank branches to y and returns their middles x·Aᵀ side
// by side, [T, Σr].
func lowRank(t *Tape, y, x backend.Tensor, l *Linear) backend.Tensor {
	r := l.rank()
	if r == 0 {
		return backend.Tensor{}
	}
	mid := t.act.get(x.Rows, r)
	a, whole := l.joined(partA)
	if whole {
		t.be.MatMul(mid, x, a, backend.MatMul{TransB: true, Alpha: 1})
	}
	at, col := 0, 0
	for i := range l.Parts {
		p := &l.Parts[i]
		out := p.W.Value.Rows
		if lo := p.LoRA; lo != nil {
			m := mid.ColRange(at, at+lo.A.Value.Rows)
			if !whole {
				xd := dropped(t, x, lo, t.rows)
				t.be.MatMul(m, xd, lo.A.Value, backend.MatMul{TransB: true, Alpha: 1})
				undrop(t, xd, x)
			}
			t.be.MatMul(y.ColRange(col, col+out), m, lo.B.Value, backend.MatMul{TransB: true, Alpha: lo.Scale, Beta: 1})
			at += lo.A.Value.Rows
		}
		col += out
	}
	return mid
}

// dropped is dropout(x) of a branch in memory of its own, or x itself when
// nothing is dropped: without dropout, or when not training.
func dropped(t *Tape, x backend.Tensor, lo *LoRA, rows backend.Tensor) backend.Tensor {
	if lo.Dropout == 0 || !t.opt.Grad || rows.IsZero() {
		return x
	}
	d := t.act.get(x.Rows, x.Cols)
	t.be.Dropout(d, x, lo.Dropout, dropKey(t, lo), rows)
	return d
}

// undrop gives the memory of dropped back, if it was any of its own.
func undrop(t *Tape, d, x backend.Tensor) {
	if d != x {
		t.act.put(d)
	}
}

// The backward pass draws the same mask anew from it, so that no mask is kept.
func dropKey(t *Tape, lo *LoRA) backend.Key {
	return backend.Key{Seed: t.opt.Seed, Step: t.opt.Step, Site: lo.Site}
}

// dy is [T, Σout], x [T, in]: dx = dy·W, dW = dyᵀ·x, db = Σ dy.
func backLinear(t *Tape, n *node) {
	be, l := t.be, n.lin
	dy, x := t.GradOf(n.out), t.vals[n.in[0]].data
	gradWeights(t, dy, x, l)

	var dx backend.Tensor
	if t.vals[n.in[0]].needs {
		var add bool
		dx, add = t.gradInto(n.in[0])
		beta := float32(0)
		if add {
			beta = 1
		}
		if w, ok := l.joined(partW); ok {
			be.MatMul(dx, dy, w, backend.MatMul{Alpha: 1, Beta: beta})
		} else {
			col := 0
			for i := range l.Parts {
				w := l.Parts[i].W.Value
				be.MatMul(dx, dy.ColRange(col, col+w.Rows), w, backend.MatMul{Alpha: 1, Beta: beta})
				beta = 1
				col += w.Rows
			}
		}
	}
	if n.adapter && !n.aux[0].IsZero() {
		backLowRank(t, n, dx, dy, x)
	}
	t.act.put(n.aux[0])
	for i := range l.Parts {
		p := &l.Parts[i]
		t.done(p.W)
		t.done(p.B)
	}
}

// gradWeights accumulates the gradients of weights and biases.
func gradWeights(t *Tape, dy, x backend.Tensor, l *Linear) {
	acc := backend.MatMul{TransA: true, Alpha: 1, Beta: 1}
	gw, wholeW := l.joined(partGradW)
	if wholeW {
		t.be.MatMul(gw, dy, x, acc)
	}
	gb, wholeB := l.joined(partGradB)
	if wholeB {
		t.be.SumRows(gb.Reshape(1, gb.Rows), dy)
	}
	col := 0
	for i := range l.Parts {
		p := &l.Parts[i]
		d := dy.ColRange(col, col+p.W.Value.Rows)
		if !wholeW && p.W.Trainable {
			t.be.MatMul(p.W.Grad, d, x, acc)
		}
		if !wholeB && p.B != nil && p.B.Trainable {
			t.be.SumRows(p.B.Grad, d)
		}
		col += p.W.Value.Rows
	}
}

// backLowRank accumulates the gradients of A and B and, when dx is given,
// adds the branches' share to it.
// With mid = x·Aᵀ: dmid = scale·dy·B, dB = scale·dyᵀ·mid, dA = dmidᵀ·x, dx += dmid·A.
func backLowRank(t *Tape, n *node, dx, dy, x backend.Tensor) {
	be, l, mid := t.be, n.lin, n.aux[0]
	acc := backend.MatMul{TransA: true, Alpha: 1, Beta: 1}
	dmid := t.act.get(mid.Rows, mid.Cols)
	at, col := 0, 0
	for i := range l.Parts {
		p := &l.Parts[i]
		out := p.W.Value.Rows
		if lo := p.LoRA; lo != nil {
			r := lo.A.Value.Rows
			d := dy.ColRange(col, col+out)
			be.MatMul(dmid.ColRange(at, at+r), d, lo.B.Value, backend.MatMul{Alpha: lo.Scale})
			if lo.B.Trainable {
				be.MatMul(lo.B.Grad, d, mid.ColRange(at, at+r), backend.MatMul{TransA: true, Alpha: lo.Scale, Beta: 1})
			}
			at += r
		}
		col += out
	}
	ga, wholeG := l.joined(partGradA)
	if wholeG {
		be.MatMul(ga, dmid, x, acc)
	}
	a, wholeA := l.joined(partA)
	if wholeA && !dx.IsZero() {
		be.MatMul(dx, dmid, a, backend.MatMul{Alpha: 1, Beta: 1})
	}
	at = 0
	for i := range l.Parts {
		lo := l.Parts[i].LoRA
		if lo == nil {
			continue
		}
		m := dmid.ColRange(at, at+lo.A.Value.Rows)
		at += lo.A.Value.Rows
		if !wholeG && lo.A.Trainable {
			xd := dropped(t, x, lo, n.idx2)
			be.MatMul(lo.A.Grad, m, xd, acc)
			undrop(t, xd, x)
		}
		if !wholeA && !dx.IsZero() {
			backDropped(t, dx, m, lo, n.idx2)
		}
		t.done(lo.A)
		t.done(lo.B)
	}
	t.act.put(dmid)
}

// backDropped adds the gradient that passes the branch's dropout to dx.
func backDropped(t *Tape, dx, dmid backend.Tensor, lo *LoRA, rows backend.Tensor) {
	if lo.Dropout == 0 || !t.opt.Grad || rows.IsZero() {
		t.be.MatMul(dx, dmid, lo.A.Value, backend.MatMul{Alpha: 1, Beta: 1})
		return
	}
	d := t.act.get(dx.Rows, dx.Cols)
	t.be.MatMul(d, dmid, lo.A.Value, backend.MatMul{Alpha: 1})
	t.be.Dropout(d, d, lo.Dropout, dropKey(t, lo), rows)
	t.be.Add(dx, dx, d)
	t.act.put(d)
}
