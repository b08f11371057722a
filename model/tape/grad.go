package tape

import "vgid/model/backend"

// gradInto returns where the gradient of v is to be written: with add false
// the memory is fresh and must be overwritten, with add true it holds earlier
// contributions that must be added to.
func (t *Tape) gradInto(v Var) (dst backend.Tensor, add bool) {
	x := &t.vals[v]
	if x.grad == 0 {
		g := t.act.get(x.data.Rows, x.data.Cols)
		t.grads = append(t.grads, gradient{g, 1})
		x.grad = int32(len(t.grads) - 1)
		return g, false
	}
	t.unshare(v)
	return t.grads[x.grad].t, true
}

// gradAdd is gradInto for operations that can only add.
func (t *Tape) gradAdd(v Var) backend.Tensor {
	dst, add := t.gradInto(v)
	if !add {
		t.be.Fill(dst, 0)
	}
	return dst
}

// gradSet is gradInto for operations that can only overwrite: they write to
// the returned tensor and then call gradSetDone.
func (t *Tape) gradSet(v Var) (dst backend.Tensor, tmp bool) {
	if x := &t.vals[v]; x.grad != 0 {
		return t.act.get(x.data.Rows, x.data.Cols), true
	}
	dst, _ = t.gradInto(v)
	return dst, false
}

func (t *Tape) gradSetDone(v Var, dst backend.Tensor, tmp bool) {
	if tmp {
		sum, _ := t.gradInto(v)
		t.be.Add(sum, sum, dst)
		t.act.put(dst)
	}
}

// unshare makes the gradient of v its own before it is written.
func (t *Tape) unshare(v Var) {
	x := &t.vals[v]
	g := &t.grads[x.grad]
	if g.refs == 1 {
		return
	}
	g.refs--
	own := t.act.get(g.t.Rows, g.t.Cols)
	t.be.Copy(own, g.t)
	t.grads = append(t.grads, gradient{own, 1})
	x.grad = int32(len(t.grads) - 1)
}

// flow hands the gradient of from to v as it is: v shares the buffer when it
// has none yet, otherwise it is added.
func (t *Tape) flow(v, from Var) {
	if !t.vals[v].needs {
		return
	}
	g := t.vals[from].grad
	if t.vals[v].grad == 0 {
		t.vals[v].grad = g
		t.grads[g].refs++
		return
	}
	sum, _ := t.gradInto(v)
	t.be.Add(sum, sum, t.grads[g].t)
}

func (t *Tape) dropGrad(v Var) {
	x := &t.vals[v]
	if x.grad == 0 {
		return
	}
	g := &t.grads[x.grad]
	x.grad = 0
	if g.refs--; g.refs == 0 {
		t.act.put(g.t)
	}
}

// Backward runs the recorded operations in reverse from the losses. Afterwards
// only the gradients of parameters and Inputs, the losses, and values made
// while not recording are valid.
func (t *Tape) Backward() error {
	t.grad = false
	t.run(0)
	return t.Err()
}

// run goes backwards over the nodes from the last one to first.
func (t *Tape) run(first int) {
	for i := len(t.nodes) - 1; i >= first; i-- {
		n := t.nodes[i] // a copy: recomputation appends to the slab
		if n.op == opLoss {
			t.done(n.p[0])
			continue
		}
		if t.vals[n.out].grad == 0 {
			t.skip(&n)
		} else {
			t.backward(&n)
		}
		if n.op == opRoPE { // in place: its value lives on
			continue
		}
		t.drop(n.out)
		t.dropGrad(n.out)
	}
	t.nodes = t.nodes[:first]
}

func (t *Tape) backward(n *node) {
	switch n.op {
	case opLinear:
		t.backLinear(n)
	case opRMSNorm:
		t.backRMSNorm(n)
	case opLayerNorm:
		t.backLayerNorm(n)
	case opEmbedding:
		t.be.ScatterAddRows(n.p[0].Grad, t.GradOf(n.out), n.idx)
		t.done(n.p[0])
	case opGather:
		t.be.ScatterAddRows(t.gradAdd(n.in[0]), t.GradOf(n.out), n.idx)
	case opMerge:
		t.backMerge(n)
	case opResidual:
		t.flow(n.in[0], n.out)
		t.flow(n.in[1], n.out)
	case opActivate:
		t.backActivate(n)
	case opSwiGLU:
		t.backSwiGLU(n)
	case opRoPE:
		t.unshare(n.out)
		t.be.RoPE(t.GradOf(n.out).ColRange(n.from, n.to), n.idx, n.idx2, n.heads, true)
	case opAttention:
		t.backAttention(n)
	case opConcat:
		t.backConcat(n)
	case opReshape:
		t.backReshape(n)
	case opCheckpoint:
		t.backCheckpoint(n)
	}
}

// skip settles a node whose result no loss depends on: its parameters have
// received all they will.
func (t *Tape) skip(n *node) {
	switch n.op {
	case opLinear:
		for i := range n.lin.Parts {
			p := &n.lin.Parts[i]
			if p.LoRA != nil && n.adapter {
				t.done(p.LoRA.A)
				t.done(p.LoRA.B)
			}
			t.done(p.W)
			t.done(p.B)
		}
		t.act.put(n.aux[0])
	case opRMSNorm, opLayerNorm, opEmbedding:
		t.stat.put(n.aux[0])
		t.done(n.p[0])
		t.done(n.p[1])
	case opCheckpoint:
		t.backCheckpoint(n)
	}
}
