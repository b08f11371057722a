package model

import (
	"fmt"
	"slices"
	"strings"

	"vgid/model/hf"
	"vgid/model/nn"
)

// picked is a module that an adapter is attached to.
type picked struct {
	nn.Module
	path  string // by which the rules saw it
	r     int
	alpha float32
}

// allLinear and expression are targets that are not the end of a path.
const (
	allLinear  = "all-linear"
	expression = "re:"
)

// peft is c as PEFT's config of that adapter. Patterns with a * are given as
// the modules that they name.
func (c *LoRAConfig) peft(m *Model) (*hf.AdapterConfig, error) {
	p := &hf.AdapterConfig{
		PeftType: "LORA", R: c.R, LoraAlpha: float64(c.Alpha), LoraDropout: float64(c.Dropout), UseRSLora: c.RSLoRA,
		ModulesToSave: c.ModulesToSave, RankPattern: c.Ranks, AlphaPattern: c.Alphas, Bias: c.Bias,
		LayersToTransform: c.Layers, LayersPattern: c.LayersPattern, EnsureWeightTying: c.TieSaved,
	}
	if p.Bias == "" {
		p.Bias = "none"
	}
	var err error
	if p.TargetModules, err = m.moduleList("target", c.Targets); err != nil {
		return nil, err
	}
	if p.ExcludeModules, err = m.moduleList("exclude", c.Exclude); err != nil {
		return nil, err
	}
	return p, p.Validate()
}

func (m *Model) moduleList(what string, patterns []string) (hf.ModuleList, error) {
	var list hf.ModuleList
	for _, p := range patterns {
		re, isRE := strings.CutPrefix(p, expression)
		switch {
		case (isRE || p == allLinear) && len(patterns) > 1:
			return list, fmt.Errorf("%s %q stands for itself, not beside others", what, p)
		case isRE:
			list.Pattern = re
		case p == allLinear:
			list.Pattern = p
		case !strings.Contains(p, "*"):
			list.Names = append(list.Names, p)
		default:
			for _, mod := range m.modules {
				if m.named(p, mod.Name) {
					list.Names = append(list.Names, m.Config.Family.MemoryName(mod.Name))
				}
			}
		}
	}
	return list, nil
}

// named reports whether a pattern names the module, by its path in files or in
// memory.
func (m *Model) named(pattern, name string) bool {
	return matchesModule(pattern, name) || matchesModule(pattern, m.Config.Family.MemoryName(name))
}

// pick finds the modules that c targets. A list names paths in files or in
// memory; an expression is tried on the paths in memory first.
func (m *Model) pick(c *LoRAConfig) ([]picked, error) {
	conf, err := c.peft(m)
	if err != nil {
		return nil, err
	}
	rules, err := conf.Rules()
	if err != nil {
		return nil, err
	}
	for _, p := range c.Targets {
		plain := p != allLinear && !strings.HasPrefix(p, expression)
		if plain && !slices.ContainsFunc(m.carriers(), func(name string) bool { return m.named(p, name) }) {
			return nil, fmt.Errorf("pattern %q matches no linear layer of the model", p)
		}
	}
	inFiles := func(name string) string { return name }
	hits, err := m.targeted(rules, m.Config.Family.MemoryName)
	if err == nil && (len(hits) == 0 || conf.TargetModules.Pattern == "") {
		var more []picked
		more, err = m.targeted(rules, inFiles)
		for _, p := range more {
			if !slices.ContainsFunc(hits, func(x picked) bool { return x.Name == p.Name }) {
				hits = append(hits, p)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	order := map[string]int{}
	for i, mod := range m.modules {
		order[mod.Name] = i
	}
	slices.SortFunc(hits, func(a, b picked) int { return order[a.Name] - order[b.Name] })
	if len(hits) == 0 {
		return nil, fmt.Errorf("targets %q match no linear layer of the model", c.Targets)
	}
	if hits = slices.DeleteFunc(hits, func(p picked) bool { return m.Config.Idle(p.Name + ".") }); len(hits) == 0 {
		return nil, fmt.Errorf("targets %v name only layers that no output depends on", c.Targets)
	}
	return hits, nil
}

// targeted are the modules that the rules pick by the path that name gives.
func (m *Model) targeted(rules *hf.ModuleRules, path func(string) string) ([]picked, error) {
	linear := map[string]bool{}
	var hits []picked
	for _, mod := range m.modules {
		linear[mod.Name] = true
		x := hf.Module{Path: path(mod.Name), Linear: true}
		hit, err := rules.Targets(x)
		if err != nil {
			return nil, err
		}
		if !hit {
			continue
		}
		p, err := m.ranked(rules, mod, x.Path)
		if err != nil {
			return nil, err
		}
		hits = append(hits, p)
	}
	for _, name := range m.carriers() {
		if linear[name] {
			continue
		}
		hit, err := rules.Targets(hf.Module{Path: path(name)})
		if err == nil && hit {
			err = fmt.Errorf("the targets name %s: an adapter of an embedding, a convolution or the head is not implemented; exclude it", path(name))
		}
		if err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// ranked is a module with its own rank and alpha.
func (m *Model) ranked(rules *hf.ModuleRules, mod nn.Module, path string) (picked, error) {
	r, err := rules.Rank(path)
	if err != nil {
		return picked{}, err
	}
	alpha, err := rules.Alpha(path)
	return picked{mod, path, r, float32(alpha)}, err
}

// carriers are the modules of a matrix: those PEFT could attach an adapter to.
func (m *Model) carriers() []string {
	var names []string
	for _, w := range m.weights {
		if name, ok := strings.CutSuffix(w.Name, ".weight"); ok && w.Decay && w.lora == 0 {
			names = append(names, name)
		}
	}
	return names
}

// replaced are the weights that the adapter trains as a whole: those of
// modules_to_save, and biases.
func (m *Model) replaced(c *LoRAConfig, hits []picked) ([]*weight, error) {
	conf, err := c.peft(m)
	if err != nil {
		return nil, err
	}
	rules, err := conf.Rules()
	if err != nil {
		return nil, err
	}
	carries := map[string]bool{}
	for _, p := range hits {
		carries[p.Name] = true
	}
	var out []*weight
	used := map[string]bool{}
	for _, w := range m.weights {
		module, bias := strings.CutSuffix(w.Name, ".bias")
		if w.lora != 0 {
			continue
		}
		// PEFT wants whole modules in the file even where no output depends on them.
		saved := m.saves(rules, w.Name, used)
		if w == m.shared() {
			saved = m.saves(rules, m.Config.Family.HeadName(), used) || saved
			if saved && !c.TieSaved {
				return nil, fmt.Errorf("modules_to_save names the embedding or the head, which this model shares (tie_word_embeddings): training one apart from the other is not implemented; ensure_weight_tying trains both as one")
			}
		}
		if saved || bias && !m.Config.Idle(w.Name) && (c.Bias == "all" || c.Bias == "lora_only" && carries[module]) {
			out = append(out, w)
		}
	}
	for _, n := range c.ModulesToSave {
		if !used[n] {
			return nil, fmt.Errorf("modules_to_save %q names no module of the model", n)
		}
	}
	return out, nil
}

// saves reports whether a module that holds the weight is saved as a whole.
func (m *Model) saves(rules *hf.ModuleRules, name string, used map[string]bool) bool {
	saved := false
	for _, path := range []string{m.Config.Family.MemoryName(name), name} {
		for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path, '.') {
			path = path[:dot]
			for _, n := range rules.SavedBy(path) {
				saved, used[n] = true, true
			}
		}
	}
	return saved
}

// FromPEFT is the adapter that PEFT would make of its config.
func FromPEFT(c *hf.AdapterConfig) LoRAConfig {
	list := func(l hf.ModuleList) []string {
		switch {
		case strings.EqualFold(l.Pattern, allLinear):
			return []string{allLinear}
		case l.Pattern != "":
			return []string{expression + l.Pattern}
		}
		return l.Names
	}
	return LoRAConfig{
		R: c.R, Alpha: float32(c.LoraAlpha), Dropout: float32(c.LoraDropout), RSLoRA: c.UseRSLora,
		Targets: list(c.TargetModules), Exclude: list(c.ExcludeModules), Ranks: c.RankPattern, Alphas: c.AlphaPattern,
		Layers: c.LayersToTransform, LayersPattern: c.LayersPattern, ModulesToSave: c.ModulesToSave, Bias: c.Bias,
		TieSaved: c.EnsureWeightTying,
	}
}
