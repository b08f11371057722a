package adapter

import (
	"fmt"
	"slices"
	"strings"

	"vgid/model/adapter/peft"
	"vgid/model/nn"
	"vgid/model/params"
)

// picked is a module that an adapter is attached to.
// r and alpha are its own where rank_pattern or alpha_pattern names it, else the adapter's.
type picked struct {
	nn.Module
	path  string // by which the rules saw it
	r     int
	alpha float32
}

// moduleList is a list of targets or of exclusions as PEFT knows it; patterns with
// a * become the modules that they name, which PEFT has no word for.
func moduleList(s *params.Set, what string, patterns []string) (peft.ModuleList, error) {
	var list peft.ModuleList
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
			for _, mod := range s.Modules {
				if named(s, p, mod.Name) {
					list.Names = append(list.Names, s.Config.Family.MemoryName(mod.Name))
				}
			}
		}
	}
	return list, nil
}

// named reports whether a pattern names the module, by its path in files or in
// memory.
func named(s *params.Set, pattern, name string) bool {
	return params.MatchesModule(pattern, name) || params.MatchesModule(pattern, s.Config.Family.MemoryName(name))
}

// pick finds the modules that c targets. A list names paths in files or in
// memory; an expression is tried on the paths in memory first.
// It asks and changes nothing of the set.
func pick(s *params.Set, c *Config) ([]picked, error) {
	conf, err := c.peft(s)
	if err != nil {
		return nil, err
	}
	rules, err := conf.Rules()
	if err != nil {
		return nil, err
	}
	for _, p := range c.Targets {
		plain := p != allLinear && !strings.HasPrefix(p, expression)
		if plain && !slices.ContainsFunc(carriers(s), func(name string) bool { return named(s, p, name) }) {
			return nil, fmt.Errorf("pattern %q matches no linear layer of the model", p)
		}
	}
	inFiles := func(name string) string { return name }
	hits, err := targeted(s, rules, s.Config.Family.MemoryName)
	// An expression that matches paths in memory is not tried on those in files, where it could
	// pick others.
	if err == nil && (len(hits) == 0 || conf.TargetModules.Pattern == "") {
		var more []picked
		more, err = targeted(s, rules, inFiles)
		for _, p := range more {
			if !slices.ContainsFunc(hits, func(x picked) bool { return x.Name == p.Name }) {
				hits = append(hits, p)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	// In the order of the forward pass whichever path matched, because the flat buffer
	// and what is listed to the user follow it.
	order := map[string]int{}
	for i, mod := range s.Modules {
		order[mod.Name] = i
	}
	slices.SortFunc(hits, func(a, b picked) int { return order[a.Name] - order[b.Name] })
	if len(hits) == 0 {
		return nil, fmt.Errorf("targets %q match no linear layer of the model", c.Targets)
	}
	if hits = slices.DeleteFunc(hits, func(p picked) bool { return s.Config.Idle(p.Name + ".") }); len(hits) == 0 {
		return nil, fmt.Errorf("targets %v name only layers that no output depends on", c.Targets)
	}
	return hits, nil
}

// targeted are the modules that the rules pick by the path that name gives.
// A carrier that is not a linear layer and would be picked is an error: PEFT would give it a
// branch, and leaving it out would train something else.
func targeted(s *params.Set, rules *peft.Rules, path func(string) string) ([]picked, error) {
	linear := map[string]bool{}
	var hits []picked
	for _, mod := range s.Modules {
		linear[mod.Name] = true
		x := peft.Module{Path: path(mod.Name), Linear: true}
		hit, err := rules.Targets(x)
		if err != nil {
			return nil, err
		}
		if !hit {
			continue
		}
		p, err := ranked(rules, mod, x.Path)
		if err != nil {
			return nil, err
		}
		hits = append(hits, p)
	}
	for _, name := range carriers(s) {
		if linear[name] {
			continue
		}
		hit, err := rules.Targets(peft.Module{Path: path(name)})
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
// The path is that by which the rules picked the module: patterns are written for the same form.
func ranked(rules *peft.Rules, mod nn.Module, path string) (picked, error) {
	r, err := rules.Rank(path)
	if err != nil {
		return picked{}, err
	}
	alpha, err := rules.Alpha(path)
	return picked{mod, path, r, float32(alpha)}, err
}

// carriers are the modules of a matrix: those PEFT could attach an adapter to.
// Decay marks matrices: vectors (norms, biases) have none, and are no modules of their own to PEFT.
func carriers(s *params.Set) []string {
	var names []string
	for _, w := range s.Weights {
		if name, ok := strings.CutSuffix(w.Name, ".weight"); ok && w.Decay && w.Branch == 0 {
			names = append(names, name)
		}
	}
	return names
}

// replaced are the weights that the adapter trains as a whole: those of
// modules_to_save, and biases.
func replaced(s *params.Set, c *Config, hits []picked) ([]*params.Weight, error) {
	conf, err := c.peft(s)
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
	var out []*params.Weight
	used := map[string]bool{}
	for _, w := range s.Weights {
		module, bias := strings.CutSuffix(w.Name, ".bias")
		if w.Branch != 0 {
			continue
		}
		// PEFT wants whole modules in the file even where no output depends on them.
		saved := saves(s, rules, w.Name, used)
		if w == s.Tied() {
			saved = saves(s, rules, s.Config.Family.HeadName(), used) || saved
			if saved && !c.TieSaved {
				return nil, fmt.Errorf("modules_to_save names the embedding or the head, which this model shares (tie_word_embeddings): training one apart from the other is not implemented; ensure_weight_tying trains both as one")
			}
		}
		if saved || bias && !s.Config.Idle(w.Name) && (c.Bias == "all" || c.Bias == "lora_only" && carries[module]) {
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
// Every module around the weight may be named, up to the model itself. used collects the names that
// meant something.
func saves(s *params.Set, rules *peft.Rules, name string, used map[string]bool) bool {
	saved := false
	for _, path := range []string{s.Config.Family.MemoryName(name), name} {
		for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path, '.') {
			path = path[:dot]
			for _, n := range rules.SavedBy(path) {
				saved, used[n] = true, true
			}
		}
	}
	return saved
}
