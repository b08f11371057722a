package tape

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
			n.skip(t)
		} else {
			n.backward(t)
		}
		if n.op == opRoPE { // in place: its value lives on
			continue
		}
		t.drop(n.out)
		t.dropGrad(n.out)
	}
	t.nodes = t.nodes[:first]
}

// Gradients of parameters are added to; those of values go by gradInto, gradAdd, gradSet or flow,
// each by what the operation can do.
func (n *node) backward(t *Tape) {
	switch n.op {
	case opLinear:
		backLinear(t, n)
	case opRMSNorm:
		backRMSNorm(t, n)
	case opLayerNorm:
		backLayerNorm(t, n)
	case opEmbedding:
		t.be.ScatterAddRows(n.p[0].Grad, t.GradOf(n.out), n.idx)
		t.done(n.p[0])
	case opGather:
		t.be.ScatterAddRows(t.gradAdd(n.in[0]), t.GradOf(n.out), n.idx)
	case opMerge:
		backMerge(t, n)
	case opResidual:
		t.flow(n.in[0], n.out)
		t.flow(n.in[1], n.out)
	case opActivate:
		backActivate(t, n)
	case opSwiGLU:
		backSwiGLU(t, n)
	case opRoPE:
		t.unshare(n.out)
		t.be.RoPE(t.GradOf(n.out).ColRange(n.from, n.to), n.idx, n.idx2, n.heads, true)
	case opAttention:
		backAttention(t, n)
	case opConcat:
		backConcat(t, n)
	case opReshape:
		backReshape(t, n)
	case opCheckpoint:
		backCheckpoint(t, n)
	}
}

// skip settles a node whose result no loss depends on: its parameters have
// received all they will.
func (n *node) skip(t *Tape) {
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
		backCheckpoint(t, n)
	}
}
