package model

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/tape"
)

// LoRAConfig describes an adapter of low-rank branches (Hu et al. 2022).
type LoRAConfig struct {
	R       int
	Alpha   float32
	Dropout float32
	// Targets are patterns of linear layers: a path or the end of one at a
	// dot, with * for any run of characters.
	Targets []string
	RSLoRA  bool // scale by alpha/√r instead of alpha/r
	Seed    uint64
}

// Scale is the factor of the branches.
func (c LoRAConfig) Scale() float32 {
	if c.RSLoRA {
		return c.Alpha / float32(math.Sqrt(float64(c.R)))
	}
	return c.Alpha / float32(c.R)
}

func (c LoRAConfig) validate() error {
	switch {
	case c.R <= 0:
		return fmt.Errorf("lora: r must be positive, not %d", c.R)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("lora: dropout %g is not in [0, 1)", c.Dropout)
	case len(c.Targets) == 0:
		return fmt.Errorf("lora: no target modules are given")
	}
	return nil
}

// AddLoRA attaches an adapter to the linear layers that c.Targets name and
// trains it: A uniform in ±1/√in, B zero, as PEFT starts. It returns the
// modules' names. Optimizers made before are void.
func (m *Model) AddLoRA(c LoRAConfig) ([]string, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if m.adapter != nil {
		return nil, fmt.Errorf("lora: the model has an adapter already; merge it first")
	}
	hit, err := selected("linear layer", c.Targets, len(m.modules), func(i int) string { return m.modules[i].name }, matchesModule)
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	var names []string
	var added []*weight
	for i, mod := range m.modules {
		if !hit[i] || m.Config.idle(mod.name+".") {
			continue
		}
		names = append(names, mod.name)
		added = append(added, m.attach(mod, c)...)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("lora: targets %v name only layers that no output depends on", c.Targets)
	}
	m.adapter = &c
	if err := m.flatten(); err != nil {
		m.detach()
		return nil, err
	}
	for _, w := range added {
		if w.lora == 1 {
			m.initA(w, c.Seed)
		}
	}
	return names, m.be.Sync()
}

// attach declares the branch of one module; flatten gives it memory.
func (m *Model) attach(mod module, c LoRAConfig) []*weight {
	p := &mod.lin.Parts[mod.part]
	in, out := p.W.Value.Cols, p.W.Value.Rows
	h := fnv.New32a()
	h.Write([]byte(mod.name))
	a := loraWeight(mod, ".lora_A.weight", 1, c.R, in)
	b := loraWeight(mod, ".lora_B.weight", 2, out, c.R)
	p.LoRA = &tape.LoRA{A: a.Param, B: b.Param, Scale: c.Scale(), Dropout: c.Dropout, Site: h.Sum32()}
	m.weights = append(m.weights, a, b)
	return []*weight{a, b}
}

func loraWeight(mod module, suffix string, kind, rows, cols int) *weight {
	w := &weight{
		Param: &tape.Param{Name: mod.name + suffix, Trainable: true},
		shape: []int{rows, cols}, decay: true, group: mod.group, lora: kind,
	}
	w.Value.Rows, w.Value.Cols, w.Value.Stride = rows, cols, cols
	return w
}

// initA draws U(-1/√in, 1/√in), the Kaiming rule PEFT uses.
func (m *Model) initA(w *weight, seed uint64) {
	h := fnv.New32a()
	h.Write([]byte(w.Name))
	key := backend.Key{Seed: seed, Site: h.Sum32()}
	bound := float32(invSqrt(w.Value.Cols))
	row := make([]float32, w.Value.Cols)
	for r := range w.Value.Rows {
		backend.FillRandom(row, backend.Uniform, key, uint32(r))
		for i := range row {
			row[i] = (2*row[i] - 1) * bound
		}
		m.be.Upload(w.Value.RowRange(r, r+1), row)
	}
}

// MergeLoRA adds the branches to the weights they belong to and removes them.
func (m *Model) MergeLoRA() error {
	if m.adapter == nil {
		return fmt.Errorf("lora: the model has no adapter to merge")
	}
	for _, mod := range m.modules {
		p := &mod.lin.Parts[mod.part]
		if lo := p.LoRA; lo != nil {
			m.be.MatMul(p.W.Value, lo.B.Value, lo.A.Value, backend.MatMul{Alpha: lo.Scale, Beta: 1})
		}
	}
	m.detach()
	return m.flatten()
}

// detach removes the adapter's declarations.
func (m *Model) detach() {
	for _, mod := range m.modules {
		mod.lin.Parts[mod.part].LoRA = nil
	}
	m.weights = slices.DeleteFunc(m.weights, func(w *weight) bool { return w.lora != 0 })
	m.adapter = nil
}

// Adapter is the adapter's description and whether there is one.
func (m *Model) Adapter() (LoRAConfig, bool) {
	if m.adapter == nil {
		return LoRAConfig{}, false
	}
	return *m.adapter, true
}

// AdapterModules lists the modules that carry a branch.
func (m *Model) AdapterModules() []string {
	var names []string
	for _, w := range m.weights {
		if w.lora == 1 {
			names = append(names, strings.TrimSuffix(w.Name, ".lora_A.weight"))
		}
	}
	return names
}
