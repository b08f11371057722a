package tape

import "vgid/model/backend"

// The losses are terminal: they compute the gradients of the hidden rows and
// of the head in the forward call, so that logits are made once. Both return
// the unweighted loss of every row, [N, 1], valid until Reset.

// LinearCE is backend.LinearCE of hidden rows h against head w. When the tape
// records, Σ weight[i]·loss[i] is what Backward differentiates; weight may be
// the zero Tensor otherwise.
func (t *Tape) LinearCE(h Var, w *Param, target, weight backend.Tensor) backend.Tensor {
	loss := t.stat.get(target.Rows, 1)
	dh, dw := lossGrads(t, h, w)
	if dh.IsZero() && dw.IsZero() {
		weight = backend.Tensor{}
	}
	t.be.LinearCE(loss, dh, dw, t.vals[h].data, w.of(t.adapter), target, weight)
	return loss
}

// LinearKL is backend.LinearKL of hidden rows h under head w from the
// teacher's rows ht under its head wt.
func (t *Tape) LinearKL(h Var, w *Param, ht, wt, weight backend.Tensor, p backend.KL) backend.Tensor {
	loss := t.stat.get(ht.Rows, 1)
	dh, dw := lossGrads(t, h, w)
	if dh.IsZero() && dw.IsZero() {
		weight = backend.Tensor{}
	}
	t.be.LinearKL(loss, dh, dw, t.vals[h].data, w.of(t.adapter), ht, wt, weight, p)
	return loss
}

// The head's gradient is complete only when Backward comes to the node: others may use the head
// before.
func lossGrads(t *Tape, h Var, w *Param) (dh, dw backend.Tensor) {
	if t.use(w) && t.grad {
		dw = w.Grad
		t.record(node{op: opLoss, p: [2]*Param{w}})
	}
	if t.needs(h) {
		dh = t.gradAdd(h)
	}
	return dh, dw
}
