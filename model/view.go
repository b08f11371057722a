package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// View is a model to compute with: as it is trained, or as it was before its
// adapter, which is what a teacher is. Views of a model share its weights, its
// batches and its device; which of them a pass reads is the view's to say and
// changes nothing of the model, so views are used in turn in any order.
//
// A View is valid until its model is closed. The zero View is none.
type View struct {
	m    *Model
	base bool // without the adapter
}

// Base is the model without its adapter: the low-rank branches left out, the
// biases and whole modules that the adapter trains as they were before. Without
// an adapter it is the model. Its passes are never recorded, so no gradient flows
// into what the model trains.
func (m *Model) Base() View { return View{m, true} }

// Model is whose view it is.
func (v View) Model() *Model { return v.m }

// IsZero reports whether v is a view of nothing.
func (v View) IsZero() bool { return v.m == nil }

// head is the language-model head that the view reads, [vocab, d].
func (v View) head() backend.Tensor {
	if p := v.m.text.Head; !v.base || p.Base.IsZero() {
		return p.Value
	}
	return v.m.text.Head.Base
}

// begin makes the operations that follow on t the view's. It returns whether
// operations were recorded before, which SetGrad goes back to.
func (v View) begin(t *tape.Tape) (was bool) {
	t.UseAdapter(!v.base)
	return t.SetGrad(t.Grad() && !v.base)
}
