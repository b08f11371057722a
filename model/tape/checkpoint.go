package tape

// Segment is a stretch of a model whose activations can be dropped after the
// forward pass and computed again in the backward pass. Forward must be a pure
// function of x, the weights and the tape's seed and step.
type Segment interface {
	Forward(t *Tape, x Var) Var
}

// Checkpoint runs s on x and, when recording, keeps only x and the result:
// Backward runs s again (Chen et al. 2016). x must not be used afterwards when
// nothing is recorded.
func (t *Tape) Checkpoint(x Var, s Segment) Var {
	if !t.grad {
		return s.Forward(t, x)
	}
	// Unrecorded layers may add to their input in place: they get a copy.
	xd := t.vals[x].data
	mark := len(t.vals)
	in := t.output(xd.Rows, xd.Cols, false)
	t.be.Copy(t.vals[in].data, xd)

	uses := t.uses
	t.grad = false
	t.counting++
	y := s.Forward(t, in)
	t.counting--
	t.grad = true

	out := t.vals[y]
	t.vals[y].own = false
	t.truncate(mark)
	out.grad, out.needs = 0, t.uses > uses || t.vals[x].needs
	v := t.push(out)
	if !out.needs {
		return v
	}
	t.vals[x].saved = true
	return t.record(node{op: opCheckpoint, out: v, in: [2]Var{x}, seg: s, idx2: t.rows})
}

// The segment's own nodes are recorded behind those that are there, run backwards and forgotten.
func backCheckpoint(t *Tape, n *node) {
	x := n.in[0]
	nodes, mark := len(t.nodes), len(t.vals)
	adapter, rows := t.adapter, t.rows
	t.adapter, t.rows = n.adapter, n.idx2

	in := t.push(value{data: t.vals[x].data, needs: t.vals[x].needs, saved: true})
	t.grad, t.recompute = true, true
	y := n.seg.Forward(t, in)
	t.grad, t.recompute = false, false
	if t.vals[n.out].grad != 0 {
		t.flow(y, n.out)
		t.dropGrad(n.out) // y is the only holder now and may be written in place
	}
	t.run(nodes)
	if t.vals[in].grad != 0 {
		t.flow(x, in)
	}
	t.truncate(mark)
	t.adapter, t.rows = adapter, rows
}
