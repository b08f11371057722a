package peft

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// Rules decide about modules by their path in memory the way PEFT 0.21
// does (tuners_utils.check_target_module_exists, other.get_pattern_key).
// It may be used by several goroutines. Slices stand in the order of the fields that they compile.
type Rules struct {
	c            *Config
	target       *regexp2.Regexp
	exclude      *regexp2.Regexp
	saved        []*regexp2.Regexp
	layer        []*regexp2.Regexp
	rank         []*regexp2.Regexp
	alpha        []*regexp2.Regexp
	allLinear    bool
	layersWanted bool
}

// Module is what the rules see of a module.
type Module struct {
	Path   string // in memory, such as model.language_model.layers.0.mlp.up_proj
	Linear bool   // a linear layer other than the language-model head
}

// Rules compiles the module patterns of c. Errors name the field.
func (c *Config) Rules() (*Rules, error) {
	r := &Rules{c: c, layersWanted: len(c.LayersToTransform) > 0}
	r.allLinear = strings.ToLower(c.TargetModules.Pattern) == "all-linear"
	var err error
	compile := func(field, source, pattern string) *regexp2.Regexp {
		if err != nil {
			return nil
		}
		// Python's spelling of named groups.
		python := func(s string) string { return strings.ReplaceAll(s, "(?P<", "(?<") }
		_, e := regexp2.Compile(python(source), regexp2.None) // its errors speak of what was written
		var re *regexp2.Regexp
		if e == nil {
			re, e = regexp2.Compile(python(pattern), regexp2.None)
		}
		if e != nil {
			err = fmt.Errorf("%s: %q is not a regular expression: %w", field, source, e)
			return nil
		}
		re.MatchTimeout = time.Second // patterns come from files, and the engine backtracks
		return re
	}
	// What matches whole paths and what their beginnings is PEFT's choice of re.fullmatch
	// and re.match in each place.
	if p := c.TargetModules.Pattern; p != "" && !r.allLinear {
		r.target = compile("target_modules", p, `\A(?:`+p+`)\z`)
	}
	if p := c.ExcludeModules.Pattern; p != "" {
		r.exclude = compile("exclude_modules", p, `\A(?:`+p+`)\z`)
	}
	for _, p := range c.ModulesToSave {
		r.saved = append(r.saved, compile("modules_to_save", p, `\A(?:^|.*\.)`+p+`(?:$|\..*)`))
	}
	for _, p := range c.LayersPattern {
		r.layer = append(r.layer, compile("layers_pattern", p, `\A(?:^|.*?\.)`+p+`\.(?<idx>\d+)\.`))
	}
	if len(c.LayersPattern) == 0 {
		r.layer = append(r.layer, compile("layers_pattern", "", `\A.*?\.[^.]*\.(?<idx>\d+)\.`))
	}
	for _, e := range c.RankPattern {
		r.rank = append(r.rank, compile("rank_pattern", e.Pattern, `\A(.*\.)?(`+e.Pattern+`)$`))
	}
	for _, e := range c.AlphaPattern {
		r.alpha = append(r.alpha, compile("alpha_pattern", e.Pattern, `\A(.*\.)?(`+e.Pattern+`)$`))
	}
	return r, err
}

// Targets reports whether the module gets a low-rank branch.
func (r *Rules) Targets(m Module) (bool, error) {
	if hit, err := r.excluded(m.Path); hit || err != nil {
		return false, err
	}
	switch {
	case r.allLinear: // PEFT lists the paths first, so layers are not filtered
		return m.Linear, nil
	case r.target != nil:
		return r.target.MatchString(m.Path)
	// The whole path counts, layers or not: PEFT returns before it looks at them.
	case slices.Contains(r.c.TargetModules.Names, m.Path):
		return true, nil
	case !endsIn(m.Path, r.c.TargetModules.Names):
		return false, nil
	case r.layersWanted:
		return r.wantedLayer(m.Path)
	}
	return true, nil
}

// excluded reports whether exclude_modules or modules_to_save take the module out,
// which they do before target_modules is looked at.
func (r *Rules) excluded(path string) (bool, error) {
	if r.exclude != nil {
		if hit, err := r.exclude.MatchString(path); hit || err != nil {
			return hit, err
		}
	}
	names := r.c.ExcludeModules.Names
	if slices.Contains(names, path) || endsIn(path, names) {
		return true, nil
	}
	// What is trained as a whole gets no branch.
	for _, re := range r.saved {
		if hit, err := re.MatchString(path); hit || err != nil {
			return hit, err
		}
	}
	return false, nil
}

// endsIn reports whether the last parts of a path are one of names.
func endsIn(path string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(path, "."+n) })
}

// wantedLayer finds the number of the layer in a path, and looks it up in
// layers_to_transform. A module outside all layers is not wanted.
// The first pattern that matches decides, also where it finds a layer that is not wanted.
func (r *Rules) wantedLayer(path string) (bool, error) {
	for _, re := range r.layer {
		m, err := re.FindStringMatch(path)
		if err != nil {
			return false, err
		}
		if m == nil {
			continue
		}
		var n int
		if _, err := fmt.Sscan(m.GroupByName("idx").String(), &n); err != nil {
			return false, nil // more digits than any layer has
		}
		return slices.Contains(r.c.LayersToTransform, n), nil
	}
	return false, nil
}

// SavedBy lists the names of modules_to_save that mean the module, which is
// then trained and stored as a whole: PEFT compares the end of the path, not at
// a dot.
func (r *Rules) SavedBy(path string) (names []string) {
	for _, n := range r.c.ModulesToSave {
		if strings.HasSuffix(path, n) {
			names = append(names, n)
		}
	}
	return names
}

// Rank is the module's r.
// An error is a pattern that backtracked beyond its time.
func (r *Rules) Rank(path string) (int, error) {
	i, err := first(r.rank, path)
	if i < 0 || err != nil {
		return r.c.R, err
	}
	return r.c.RankPattern[i].Value, nil
}

// Alpha is the module's lora_alpha.
func (r *Rules) Alpha(path string) (float64, error) {
	i, err := first(r.alpha, path)
	if i < 0 || err != nil {
		return r.c.LoraAlpha, err
	}
	return r.c.AlphaPattern[i].Value, nil
}

// first is the index of the first pattern that matches, -1 for none: PEFT takes the
// patterns in the order of the file.
func first(patterns []*regexp2.Regexp, path string) (int, error) {
	for i, re := range patterns {
		if hit, err := re.MatchString(path); hit || err != nil {
			return i, err
		}
	}
	return -1, nil
}
