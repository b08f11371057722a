package tape

import "vgid/model/backend"

// RMSNorm is backend.RMSNorm over the rows of x with weight w [1, n].
func (t *Tape) RMSNorm(x Var, w *Param, eps float32) Var {
	xd := t.vals[x].data
	rec := t.use(w) && t.grad || t.needs(x)
	y := t.output(xd.Rows, xd.Cols, rec)
	stat := t.stat.get(xd.Rows, 1)
	t.be.RMSNorm(t.vals[y].data, stat, xd, w.of(t.adapter), eps)
	if !rec {
		t.stat.put(stat)
		return y
	}
	t.vals[x].saved = true
	return t.record(node{op: opRMSNorm, out: y, in: [2]Var{x}, p: [2]*Param{w}, aux: [2]backend.Tensor{stat}})
}

// Value and not Base is read: passes without the adapter are not recorded.
func backRMSNorm(t *Tape, n *node) {
	dx := normGrad(t, n.in[0])
	t.be.RMSNormBackward(dx, trainedGrad(n.p[0]), t.GradOf(n.out), t.vals[n.in[0]].data, n.p[0].Value, n.aux[0])
	normDone(t, n, dx)
}

// LayerNorm is backend.LayerNorm over the rows of x with weight and bias [1, n].
func (t *Tape) LayerNorm(x Var, w, b *Param, eps float32) Var {
	xd := t.vals[x].data
	uw, ub := t.use(w), t.use(b)
	rec := t.grad && (uw || ub || t.vals[x].needs)
	y := t.output(xd.Rows, xd.Cols, rec)
	stat := t.stat.get(xd.Rows, 2)
	t.be.LayerNorm(t.vals[y].data, stat, xd, w.of(t.adapter), b.of(t.adapter), eps)
	if !rec {
		t.stat.put(stat)
		return y
	}
	t.vals[x].saved = true
	return t.record(node{op: opLayerNorm, out: y, in: [2]Var{x}, p: [2]*Param{w, b}, aux: [2]backend.Tensor{stat}})
}

func backLayerNorm(t *Tape, n *node) {
	dx := normGrad(t, n.in[0])
	t.be.LayerNormBackward(dx, trainedGrad(n.p[0]), trainedGrad(n.p[1]), t.GradOf(n.out), t.vals[n.in[0]].data, n.p[0].Value, n.aux[0])
	normDone(t, n, dx)
}

// normGrad is where a norm adds its input gradient. The backend always writes
// one, so an input that wants none gets scratch memory.
func normGrad(t *Tape, x Var) backend.Tensor {
	if t.vals[x].needs {
		return t.gradAdd(x)
	}
	d := t.act.get(t.vals[x].data.Rows, t.vals[x].data.Cols)
	t.be.Fill(d, 0)
	return d
}

func normDone(t *Tape, n *node, dx backend.Tensor) {
	if !t.vals[n.in[0]].needs {
		t.act.put(dx)
	}
	t.stat.put(n.aux[0])
	t.done(n.p[0])
	t.done(n.p[1])
}

// trainedGrad is where a backend adds a parameter's gradient, none for a frozen one.
func trainedGrad(p *Param) backend.Tensor {
	if p.Trainable {
		return p.Grad
	}
	return backend.Tensor{}
}

// Embedding looks up rows of a table: y[i] = w[idx[i]], idx [T, 1] I32; a
// negative index gives a zero row.
func (t *Tape) Embedding(w *Param, idx backend.Tensor) Var {
	rec := t.use(w) && t.grad
	y := t.output(idx.Rows, w.Value.Cols, rec)
	t.be.GatherRows(t.vals[y].data, w.of(t.adapter), idx)
	if !rec {
		return y
	}
	return t.record(node{op: opEmbedding, out: y, p: [2]*Param{w}, idx: idx})
}

// Gather selects rows: y[i] = x[idx[i]], idx [N, 1] I32; a negative index
// gives a zero row.
func (t *Tape) Gather(x Var, idx backend.Tensor) Var {
	rec := t.needs(x)
	y := t.output(idx.Rows, t.vals[x].data.Cols, rec)
	t.be.GatherRows(t.vals[y].data, t.vals[x].data, idx)
	if !rec {
		return y
	}
	return t.record(node{op: opGather, out: y, in: [2]Var{x}, idx: idx})
}

// Merge overwrites rows of x: x[idx[i]] = src[i], idx [N, 1] I32 distinct. x
// must not be used afterwards, and its overwritten rows must not depend on
// anything trained (an Embedding with negative indices there): their gradient
// is passed on as it is instead of being cleared.
func (t *Tape) Merge(x, src Var, idx backend.Tensor) Var {
	rec := t.needs(x) || t.needs(src)
	xd := t.vals[x].data
	t.be.ScatterRows(xd, t.vals[src].data, idx)
	y := t.take(x, rec)
	if !rec {
		return y
	}
	return t.record(node{op: opMerge, out: y, in: [2]Var{x, src}, idx: idx})
}

func backMerge(t *Tape, n *node) {
	if src := n.in[1]; t.vals[src].needs {
		d, tmp := t.gradSet(src)
		t.be.GatherRows(d, t.GradOf(n.out), n.idx)
		t.gradSetDone(src, d, tmp)
	}
	t.flow(n.in[0], n.out)
}

// Add is a + b in new memory.
// Neither is changed, and both may be used afterwards.
func (t *Tape) Add(a, b Var) Var {
	rec := t.needs(a) || t.needs(b)
	y := t.output(t.vals[a].data.Rows, t.vals[a].data.Cols, rec)
	t.be.Add(t.vals[y].data, t.vals[a].data, t.vals[b].data)
	if rec {
		t.record(node{op: opResidual, out: y, in: [2]Var{a, b}})
	}
	return y
}

// Residual is x + f in the memory of one of them. Neither may be used
// afterwards. When nothing is recorded it is x's, so that a layer's other
// values can be released.
func (t *Tape) Residual(x, f Var) Var {
	rec := t.needs(x) || t.needs(f)
	xv, fv := &t.vals[x], &t.vals[f]
	if !t.grad && xv.own && !xv.saved && !xv.needs {
		t.be.Add(xv.data, xv.data, fv.data)
		return x
	}
	if !fv.own || fv.saved {
		return t.Add(x, f)
	}
	t.be.Add(fv.data, xv.data, fv.data)
	y := t.take(f, rec)
	if rec {
		t.record(node{op: opResidual, out: y, in: [2]Var{x, f}})
	}
	return y
}

// Activate is f(x), element by element.
func (t *Tape) Activate(x Var, f backend.Activation) Var {
	rec := t.needs(x)
	xd := t.vals[x].data
	y := t.output(xd.Rows, xd.Cols, rec)
	t.be.Activate(t.vals[y].data, xd, f)
	if !rec {
		return y
	}
	t.vals[x].saved = true
	return t.record(node{op: opActivate, out: y, in: [2]Var{x}, act: f})
}

func backActivate(t *Tape, n *node) {
	d, tmp := t.gradSet(n.in[0])
	t.be.ActivateBackward(d, t.GradOf(n.out), t.vals[n.in[0]].data, n.act)
	t.gradSetDone(n.in[0], d, tmp)
}

// SwiGLU is silu(gate)·up of x = [gate, up], [T, 2n] to [T, n].
func (t *Tape) SwiGLU(x Var) Var {
	rec := t.needs(x)
	xd := t.vals[x].data
	n := xd.Cols / 2
	y := t.output(xd.Rows, n, rec)
	t.be.SwiGLU(t.vals[y].data, xd.ColRange(0, n), xd.ColRange(n, 2*n))
	if !rec {
		return y
	}
	t.vals[x].saved = true
	return t.record(node{op: opSwiGLU, out: y, in: [2]Var{x}})
}

func backSwiGLU(t *Tape, n *node) {
	xd := t.vals[n.in[0]].data
	h := xd.Cols / 2
	d, tmp := t.gradSet(n.in[0])
	t.be.SwiGLUBackward(d.ColRange(0, h), d.ColRange(h, 2*h), t.GradOf(n.out), xd.ColRange(0, h), xd.ColRange(h, 2*h))
	t.gradSetDone(n.in[0], d, tmp)
}

// Concat puts matrices of the same height side by side.
func (t *Tape) Concat(xs []Var) Var {
	rec, cols := false, 0
	for _, x := range xs {
		rec = rec || t.needs(x)
		cols += t.vals[x].data.Cols
	}
	y := t.output(t.vals[xs[0]].data.Rows, cols, rec)
	col := 0
	for _, x := range xs {
		xd := t.vals[x].data
		t.be.Copy(t.vals[y].data.ColRange(col, col+xd.Cols), xd)
		col += xd.Cols
	}
	if !rec {
		return y
	}
	from := len(t.extra)
	t.extra = append(t.extra, xs...)
	return t.record(node{op: opConcat, out: y, from: from, to: len(t.extra)})
}

func backConcat(t *Tape, n *node) {
	dy, col := t.GradOf(n.out), 0
	for _, x := range t.extra[n.from:n.to] {
		c := t.vals[x].data.Cols
		if t.vals[x].needs {
			d := dy.ColRange(col, col+c)
			if dx, add := t.gradInto(x); add {
				t.be.Add(dx, dx, d)
			} else {
				t.be.Copy(dx, d)
			}
		}
		col += c
	}
}

// Reshape sees the rows of x, which lie behind each other, as rows of another
// width: [T, n] to [T·n/cols, cols]. x must not be used afterwards.
func (t *Tape) Reshape(x Var, cols int) Var {
	rec := t.needs(x)
	y := t.take(x, rec)
	d := &t.vals[y].data
	*d = d.Reshape(d.Len()/cols, cols)
	if !rec {
		return y
	}
	return t.record(node{op: opReshape, out: y, in: [2]Var{x}})
}

// backReshape hands the memory of the result's gradient on.
func backReshape(t *Tape, n *node) {
	in, out := &t.vals[n.in[0]], &t.vals[n.out]
	t.unshare(n.out)
	g := &t.grads[out.grad]
	g.t = g.t.Reshape(in.data.Rows, in.data.Cols)
	if in.grad == 0 {
		in.grad, out.grad = out.grad, 0
	} else {
		t.flow(n.in[0], n.out)
	}
}

// Patchify lays out planar images as rows of patches; see backend.Patchify.
// Pixels get no gradient.
func (t *Tape) Patchify(images backend.Tensor, channels, height, width, patch int) Var {
	y := t.output(images.Rows*(height/patch)*(width/patch), channels*patch*patch, false)
	t.be.Patchify(t.vals[y].data, images, channels, height, width, patch)
	return y
}
