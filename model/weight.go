package model

import (
	"vgid/model/backend"
	"vgid/model/nn"
)

// weight is a declared weight with its memory.
type weight struct {
	*nn.Weight
	lora int // 1 for A, 2 for B of an adapter, 0 for the checkpoint's own

	stored   backend.DType // while not trained
	file     string        // the tensor it came from, "" without files
	mapped   bool          // Value is the file itself, mapped
	pristine bool          // the value is still the file's

	whole bool // an adapter trains it: Value is the trained one, Base the other
}

// untrained is the value without the adapter.
func (w *weight) untrained() backend.Tensor {
	if w.whole {
		return w.Base
	}
	return w.Value
}
