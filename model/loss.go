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
	TeacherHead backend.Tensor // [vocab, d]; not given means the model's own
	backend.KL
}

// Rows copies the given rows of hidden states to memory of their own, [n, d].
func (m *Model) Rows(t *tape.Tape, hidden tape.Var, rows []int32) tape.Var {
	return t.Gather(hidden, t.Ints(rows, 1))
}

// CE is the cross-entropy of targets[i] at row rows[i] of the hidden states.
// Backward differentiates Σ weights[i]·loss[i].
func (m *Model) CE(t *tape.Tape, hidden tape.Var, rows, targets []int32, weights []float32) LossHandle {
	h := m.Rows(t, hidden, rows)
	loss := t.LinearCE(h, m.Head(), t.Ints(targets, 1), t.Floats(weights, 1))
	return LossHandle{loss, m.be}
}

// KL is the forward divergence from the teacher's hidden rows [n, d] to the
// rows of the student's hidden states. Backward differentiates
// Σ weights[i]·loss[i] for the student.
func (m *Model) KL(t *tape.Tape, hidden tape.Var, rows []int32, teacher backend.Tensor, weights []float32, o KLOptions) LossHandle {
	if o.TeacherHead.IsZero() {
		o.TeacherHead = m.Head().Value
	}
	h := m.Rows(t, hidden, rows)
	loss := t.LinearKL(h, m.Head(), teacher, o.TeacherHead, t.Floats(weights, 1), o.KL)
	return LossHandle{loss, m.be}
}
