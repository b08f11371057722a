package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// LossHandle is the loss of every selected row, on the device until it is
// asked for. It is valid until the tape's Reset.
type LossHandle struct {
	Rows backend.Tensor // [n, 1], unweighted
	be   backend.Backend
}

// Len is the number of rows.
func (h LossHandle) Len() int { return h.Rows.Rows }

// Download waits for the losses; dst has Len values.
func (h LossHandle) Download(dst []float32) error { return h.be.Download(dst, h.Rows) }

// KLOptions belong to Model.KL.
type KLOptions struct {
	// Teacher is the view whose hidden rows are given and whose head reads them;
	// none means the student's own.
	Teacher View
	backend.KL
}

// Rows copies the given rows of hidden states to memory of their own, [n, d].
func (v View) Rows(t *tape.Tape, hidden tape.Var, rows []int32) tape.Var {
	return t.Gather(hidden, t.Ints(rows, 1))
}

// CE is the cross-entropy of targets[i] at row rows[i] of the hidden states.
// Backward differentiates Σ weights[i]·loss[i].
func (v View) CE(t *tape.Tape, hidden tape.Var, rows, targets []int32, weights []float32) LossHandle {
	was := v.begin(t)
	h := v.Rows(t, hidden, rows)
	loss := t.LinearCE(h, v.m.Head(), t.Ints(targets, 1), t.Floats(weights, 1))
	t.SetGrad(was)
	return LossHandle{loss, v.m.Backend()}
}

// KL is the forward divergence from the teacher's hidden rows [n, d] to the
// rows of the student's hidden states. Backward differentiates
// Σ weights[i]·loss[i] for the student.
func (v View) KL(t *tape.Tape, hidden tape.Var, rows []int32, teacher backend.Tensor, weights []float32, o KLOptions) LossHandle {
	if o.Teacher.IsZero() {
		o.Teacher = v
	}
	was := v.begin(t)
	h := v.Rows(t, hidden, rows)
	loss := t.LinearKL(h, v.m.Head(), teacher, o.Teacher.head(), t.Floats(weights, 1), o.KL)
	t.SetGrad(was)
	return LossHandle{loss, v.m.Backend()}
}
