// Package adapter attaches low-rank adapters (LoRA, Hu et al. 2022) to the
// parameters of a model, by PEFT's rules: which layers get a branch, which weights
// are trained as a whole beside it, and what PEFT's files call them.
//
// What must hold while an Adapter is attached: every module that it lists has a
// branch in its linear layer and A and B among the set's weights; every weight
// that it trains as a whole has a Base; all of these are trained. Merge and
// nothing else ends that.
//
// Begin with Attach; targets.go says what is picked, load.go and tensors.go what
// files hold.
package adapter

import (
	"errors"
	"fmt"
	"hash/fnv"

	"vgid/model/backend"
	"vgid/model/nn"
	"vgid/model/params"
	"vgid/model/tape"
)

// Adapter is an adapter that is attached to the parameters of a model.
// hits and idle have no module in common; Modules and Save speak of hits alone.
type Adapter struct {
	Config Config

	set  *params.Set
	hits []picked              // what it is attached to
	base string                // the set's Fingerprint without it
	idle map[string]*tape.LoRA // branches that only a merge reads, by the weight's name
}

// Attach adds an adapter to the linear layers that c.Targets name and trains it:
// A uniform in ±1/√in, B zero, as PEFT starts. Optimizers made before are void.
//
// All checks come before anything of the set is changed.
// B zero makes the branch add nothing at first, so that training begins at the model itself.
func Attach(s *params.Set, c Config) (*Adapter, error) {
	err := c.validate()
	var hits []picked
	if err == nil {
		hits, err = pick(s, &c)
	}
	var whole []*params.Weight
	if err == nil {
		whole, err = replaced(s, &c, hits)
	}
	var a *Adapter
	if err == nil {
		a, err = attach(s, c, hits, whole)
	}
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	for _, w := range s.Weights {
		if w.Branch == 1 && !s.Dry() {
			initA(s, w, c.Seed)
		}
	}
	return a, s.Backend().Sync()
}

// attach gives modules their branches and the weights that are trained as a whole a value of their own.
func attach(s *params.Set, c Config, hits []picked, whole []*params.Weight) (*Adapter, error) {
	id, err := s.Fingerprint()
	if err != nil {
		return nil, err
	}
	a := &Adapter{Config: c, set: s, hits: hits, base: id}
	var branches []*params.Weight
	for _, p := range hits {
		h := fnv.New32a()
		h.Write([]byte(p.Name))
		ab := p.branch()
		// The site of dropout is a hash of the module's name: each layer draws from a stream of its
		// own.
		p.Projection().LoRA = &tape.LoRA{A: ab[0].Param, B: ab[1].Param, Scale: c.scale(p.r, p.alpha), Dropout: c.Dropout, Site: h.Sum32()}
		branches = append(branches, ab[:]...)
	}
	if err := s.Attach(branches, whole); err != nil {
		return nil, errors.Join(err, a.detach(false))
	}
	return a, nil
}

// detach removes the adapter; weights that it trained as a whole keep that value
// or go back to the one before.
// It also undoes an attachment that failed halfway, and may then find branches on some modules
// only.
func (a *Adapter) detach(keep bool) error {
	for _, mod := range a.set.Modules {
		mod.Projection().LoRA = nil
	}
	a.hits, a.idle = nil, nil
	return a.set.Detach(keep)
}

// branch declares A and B of a module.
// A is [r, in] and B [out, r], so that the branch is scale·B·A·x.
func (p *picked) branch() [2]*params.Weight {
	w := p.Projection().W.Value
	return [2]*params.Weight{params.NewBranch(&p.Module, 1, p.r, w.Cols), params.NewBranch(&p.Module, 2, w.Rows, p.r)}
}

// initA draws U(-1/√in, 1/√in), the Kaiming rule PEFT uses.
// The stream is keyed by the weight's name, so A does not depend on which other layers have
// branches.
func initA(s *params.Set, w *params.Weight, seed uint64) {
	h := fnv.New32a()
	h.Write([]byte(w.Name))
	key := backend.Key{Seed: seed, Site: h.Sum32()}
	bound := float32(nn.InvSqrt(w.Value.Cols))
	row := make([]float32, w.Value.Cols)
	for r := range w.Value.Rows {
		backend.FillRandom(row, backend.Uniform, key, uint32(r))
		for i := range row {
			row[i] = (2*row[i] - 1) * bound
		}
		s.Backend().Upload(w.Value.RowRange(r, r+1), row)
	}
}

// Merge adds the branches to the weights they belong to, which become float32,
// and removes them.
// W + scale·B·A is taken in float32 and not rounded back, whatever W was stored in. The adapter is
// void afterwards.
func (a *Adapter) Merge() error {
	s := a.set
	var with []*params.Weight
	for _, w := range s.Weights {
		if a.Branch(w) != nil {
			with = append(with, w)
		}
	}
	if err := s.Widen(with); err != nil {
		return fmt.Errorf("lora: %w", err)
	}
	for _, w := range with {
		lo := a.Branch(w)
		s.Backend().MatMul(w.Value, lo.B.Value, lo.A.Value, backend.MatMul{Alpha: lo.Scale, Beta: 1})
	}
	return a.detach(true)
}

// Branch is the low-rank branch of a matrix, nil when it has none; also one that
// is only carried along.
func (a *Adapter) Branch(w *params.Weight) *tape.LoRA {
	if lo := a.idle[w.Name]; lo != nil {
		return lo
	}
	for _, mod := range a.set.Modules {
		if p := mod.Projection(); p.W == w.Param {
			return p.LoRA
		}
	}
	return nil
}

// SetDropout replaces the dropout of the branches in the passes that follow; what
// Save writes stays as it is.
func (a *Adapter) SetDropout(p float32) {
	for _, mod := range a.set.Modules {
		if lo := mod.Projection().LoRA; lo != nil {
			lo.Dropout = p
		}
	}
}

// Modules lists the modules that carry a branch, in forward order.
func (a *Adapter) Modules() []string {
	var names []string
	for _, p := range a.hits {
		names = append(names, p.Name)
	}
	return names
}
