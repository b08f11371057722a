package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/nn"
	"vgid/model/tape"
)

// LoRAConfig describes an adapter of low-rank branches (Hu et al. 2022).
type LoRAConfig struct {
	R       int
	Alpha   float32
	Dropout float32
	// Targets are linear layers: paths or the ends of paths at a dot, in files
	// or in memory, with * for any run of characters; or "all-linear", all but
	// the head; or "re:" and a Python expression that whole paths in memory match.
	Targets []string
	Exclude []string // as Targets: layers left out
	RSLoRA  bool     // scale by alpha/√r instead of alpha/r
	Seed    uint64

	// As in PEFT: ranks and alphas of their own for paths that end in an
	// expression, the layers that plain targets are limited to, modules that
	// are trained as a whole, and whose biases are trained: "none" (also ""),
	// "all" or "lora_only".
	Ranks         hf.ModuleValues[int]
	Alphas        hf.ModuleValues[float64]
	Layers        []int
	LayersPattern []string
	ModulesToSave []string
	Bias          string
	// TieSaved trains the matrix that embedding and head share as one where
	// ModulesToSave names either: PEFT's ensure_weight_tying.
	TieSaved bool
}

func (c *LoRAConfig) scale(r int, alpha float32) float32 {
	if c.RSLoRA {
		return alpha / float32(math.Sqrt(float64(r)))
	}
	return alpha / float32(r)
}

func (c *LoRAConfig) validate() error {
	switch {
	case c.R <= 0:
		return fmt.Errorf("r must be positive, not %d", c.R)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("dropout %g is not in [0, 1)", c.Dropout)
	case len(c.Targets) == 0:
		return fmt.Errorf("no target modules are given")
	}
	return nil
}

// AddLoRA attaches an adapter to the linear layers that c.Targets name and
// trains it: A uniform in ±1/√in, B zero, as PEFT starts. It returns the
// modules' names. Optimizers made before are void.
func (m *Model) AddLoRA(c LoRAConfig) ([]string, error) {
	err := c.validate()
	var hits []picked
	if err == nil {
		hits, err = m.pick(&c)
	}
	var whole []*weight
	if err == nil {
		whole, err = m.replaced(&c, hits)
	}
	if err == nil {
		err = m.attachAll(&c, hits, whole)
	}
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	for _, w := range m.weights {
		if w.lora == 1 && !m.dry() {
			m.initA(w, c.Seed)
		}
	}
	return m.AdapterModules(), m.be.Sync()
}

// attachAll gives modules their branches and weights their trained twins.
func (m *Model) attachAll(c *LoRAConfig, hits []picked, whole []*weight) error {
	if m.adapter != nil {
		return fmt.Errorf("the model has an adapter already; merge it first")
	}
	id, err := m.Fingerprint()
	if err != nil {
		return err
	}
	for _, p := range hits {
		m.attach(p, c)
	}
	for _, w := range whole {
		w.whole, w.Base, w.Trainable = true, w.Value, true
	}
	m.adapter, m.adapted, m.baseID = c, hits, id
	if err := m.flatten(); err != nil {
		return errors.Join(err, m.drop())
	}
	return nil
}

// drop removes the adapter without a trace.
func (m *Model) drop() error {
	for _, w := range m.weights {
		if w.whole {
			w.Value, w.Trainable = w.Base, false
		}
	}
	m.detach()
	return m.flatten()
}

// attach declares the branch of one module; flatten gives it memory.
func (m *Model) attach(hit picked, c *LoRAConfig) {
	mod := hit.Module
	p := mod.Projection()
	h := fnv.New32a()
	h.Write([]byte(mod.Name))
	ab := hit.branch()
	p.LoRA = &tape.LoRA{A: ab[0].Param, B: ab[1].Param, Scale: c.scale(hit.r, hit.alpha), Dropout: c.Dropout, Site: h.Sum32()}
	m.weights = append(m.weights, ab[:]...)
}

// branch declares A and B of a module.
func (p *picked) branch() [2]*weight {
	w := p.Projection().W.Value
	return [2]*weight{loraWeight(&p.Module, ".lora_A.weight", 1, p.r, w.Cols), loraWeight(&p.Module, ".lora_B.weight", 2, w.Rows, p.r)}
}

func loraWeight(mod *nn.Module, suffix string, kind, rows, cols int) *weight {
	w := &weight{lora: kind, Weight: &nn.Weight{
		Param: &tape.Param{Name: mod.Name + suffix, Trainable: true},
		Shape: []int{rows, cols}, Decay: true, Group: mod.Group,
	}}
	w.Value.Rows, w.Value.Cols, w.Value.Stride = rows, cols, cols
	return w
}

// initA draws U(-1/√in, 1/√in), the Kaiming rule PEFT uses.
func (m *Model) initA(w *weight, seed uint64) {
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
		m.be.Upload(w.Value.RowRange(r, r+1), row)
	}
}

// MergeLoRA adds the branches to the weights they belong to, which become
// float32, and removes them. Save writes the sum without taking that memory.
func (m *Model) MergeLoRA() error {
	if m.adapter == nil {
		return fmt.Errorf("lora: the model has no adapter to merge")
	}
	var narrow []*weight
	for _, w := range m.weights {
		if m.branch(w) != nil && !w.Trainable && (w.mapped || w.stored != backend.F32) {
			narrow = append(narrow, w)
		}
	}
	if err := m.evict(narrow); err != nil {
		return fmt.Errorf("lora: %w", err)
	}
	for _, w := range m.weights {
		if lo := m.branch(w); lo != nil {
			m.be.MatMul(w.Value, lo.B.Value, lo.A.Value, backend.MatMul{Alpha: lo.Scale, Beta: 1})
			w.pristine = false
		}
	}
	for _, w := range m.weights {
		w.Trainable = w.Trainable && !w.whole
	}
	m.detach()
	return m.flatten()
}

// branch is the low-rank branch of a matrix, nil when it has none; also one
// that is only carried along.
func (m *Model) branch(w *weight) *tape.LoRA {
	if lo := m.carried[w.Name]; lo != nil {
		return lo
	}
	for _, mod := range m.modules {
		if p := mod.Projection(); p.W == w.Param {
			return p.LoRA
		}
	}
	return nil
}

// detach removes the adapter's declarations; weights keep the value they have.
func (m *Model) detach() {
	for _, mod := range m.modules {
		mod.Projection().LoRA = nil
	}
	m.weights = slices.DeleteFunc(m.weights, func(w *weight) bool { return w.lora != 0 })
	for _, w := range m.weights {
		w.whole, w.Base = false, backend.Tensor{}
	}
	m.adapter, m.adapted, m.baseID = nil, nil, ""
	m.carried = nil // flatten frees their memory
}

// SetAdapter turns the adapter on or off for the passes that follow: off, a
// model with an adapter is its own teacher.
func (m *Model) SetAdapter(on bool) { m.View.base = !on }

// BaseHead is the language-model head without the adapter, [vocab, d].
func (m *Model) BaseHead() backend.Tensor { return m.Base().head() }

// SetDropout replaces the dropout of the adapter's branches in the passes that
// follow; what SaveAdapter writes stays as it is.
func (m *Model) SetDropout(p float32) {
	for _, mod := range m.modules {
		if lo := mod.Projection().LoRA; lo != nil {
			lo.Dropout = p
		}
	}
}

// Adapter is the adapter's description and whether there is one.
func (m *Model) Adapter() (LoRAConfig, bool) {
	if m.adapter == nil {
		return LoRAConfig{}, false
	}
	return *m.adapter, true
}

// AdapterModules lists the modules that carry a branch, in forward order.
func (m *Model) AdapterModules() []string {
	var names []string
	for _, p := range m.adapted {
		names = append(names, p.Name)
	}
	return names
}
