package params

import (
	"slices"

	"vgid/model/backend"
	"vgid/model/nn"
	"vgid/model/tape"
)

// NewBranch declares A (number 1) or B (number 2) of a module's low-rank branch,
// which is trained.
// Branches have Decay, as matrices have, and the group of their module, so that the backward pass
// finishes them with it.
func NewBranch(mod *nn.Module, number, rows, cols int) *Weight {
	suffix := [...]string{1: ".lora_A.weight", 2: ".lora_B.weight"}[number]
	w := &Weight{Branch: number, Weight: &nn.Weight{
		Param: &tape.Param{Name: mod.Name + suffix, Trainable: true},
		Shape: []int{rows, cols}, Decay: true, Group: mod.Group,
	}}
	w.Value.Rows, w.Value.Cols, w.Value.Stride = rows, cols, cols
	return w
}

// Attach adds the branches of an adapter, and trains the weights whole beside
// what they are without it. When it fails, Detach puts things back.
// branches come without memory; their values are the caller's to fill, in the flat buffer.
func (s *Set) Attach(branches, whole []*Weight) error {
	s.Weights = append(s.Weights, branches...)
	for _, w := range whole {
		w.Whole, w.Base, w.Trainable = true, w.Value, true
	}
	return s.Flatten()
}

// Detach removes the branches of an adapter, the carried ones too. The weights
// that it trains as a whole keep the trained value, or go back to the other; they
// are no longer trained.
func (s *Set) Detach(keep bool) error {
	s.Weights = slices.DeleteFunc(s.Weights, func(w *Weight) bool { return w.Branch != 0 })
	for _, w := range s.Weights {
		if !w.Whole {
			continue
		}
		if !keep {
			w.Value = w.Base
		}
		w.Whole, w.Base, w.Trainable = false, backend.Tensor{}, false
	}
	s.Carried = nil // Flatten frees their memory
	return s.Flatten()
}

// Carry gives branches memory and keeps them for a merge.
// They are not among Weights, so that neither training nor saving meets them.
func (s *Set) Carry(branches []*Weight) error {
	s.Carried = branches
	return s.mem.place(branches)
}

// Widen makes weights ready to be changed: those that are not trained get float32
// memory of their own where they are mapped or narrower.
// A trained weight is float32 in the flat buffer already. All lose the mark that their file still
// has their value.
func (s *Set) Widen(ws []*Weight) error {
	var narrow []*Weight
	for _, w := range ws {
		if !w.Trainable && (w.mapped || w.stored != backend.F32) {
			narrow = append(narrow, w)
		}
	}
	if err := s.mem.evict(narrow); err != nil {
		return err
	}
	for _, w := range ws {
		w.pristine = false
	}
	return nil
}
