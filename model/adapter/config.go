package adapter

import (
	"fmt"
	"math"
	"strings"

	"vgid/model/adapter/peft"
	"vgid/model/params"
)

// Config describes an adapter of low-rank branches (Hu et al. 2022).
type Config struct {
	// R is the inner size of the branches, Alpha the numerator of their scale, Dropout the
	// probability on a branch's input.
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
	Ranks         peft.ModuleValues[int]
	Alphas        peft.ModuleValues[float64]
	Layers        []int
	LayersPattern []string
	ModulesToSave []string
	Bias          string
	// TieSaved trains the matrix that embedding and head share as one where
	// ModulesToSave names either: PEFT's ensure_weight_tying.
	TieSaved bool
}

// scale is what the product B·A is multiplied with: alpha/r, or with RSLoRA alpha/√r
// (Kalajdzievski 2023).
func (c *Config) scale(r int, alpha float32) float32 {
	if c.RSLoRA {
		return alpha / float32(math.Sqrt(float64(r)))
	}
	return alpha / float32(r)
}

// What PEFT's own rules say of patterns and biases is checked where these are read
// (peft.Config.Validate).
func (c *Config) validate() error {
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

// allLinear and expression are targets that are not the end of a path.
const (
	allLinear  = "all-linear"
	expression = "re:"
)

// peft is c as PEFT's config of that adapter. Patterns with a * are given as
// the modules that they name.
// A seed has no place in it: PEFT's files hold the values themselves.
func (c *Config) peft(s *params.Set) (*peft.Config, error) {
	p := &peft.Config{
		PeftType: "LORA", R: c.R, LoraAlpha: float64(c.Alpha), LoraDropout: float64(c.Dropout), UseRSLora: c.RSLoRA,
		ModulesToSave: c.ModulesToSave, RankPattern: c.Ranks, AlphaPattern: c.Alphas, Bias: c.Bias,
		LayersToTransform: c.Layers, LayersPattern: c.LayersPattern, EnsureWeightTying: c.TieSaved,
	}
	if p.Bias == "" {
		p.Bias = "none"
	}
	var err error
	if p.TargetModules, err = moduleList(s, "target", c.Targets); err != nil {
		return nil, err
	}
	if p.ExcludeModules, err = moduleList(s, "exclude", c.Exclude); err != nil {
		return nil, err
	}
	return p, p.Validate()
}

// FromPEFT is the adapter that PEFT would make of its config.
func FromPEFT(c *peft.Config) Config {
	list := func(l peft.ModuleList) []string {
		switch {
		case strings.EqualFold(l.Pattern, allLinear):
			return []string{allLinear}
		case l.Pattern != "":
			return []string{expression + l.Pattern}
		}
		return l.Names
	}
	return Config{
		R: c.R, Alpha: float32(c.LoraAlpha), Dropout: float32(c.LoraDropout), RSLoRA: c.UseRSLora,
		Targets: list(c.TargetModules), Exclude: list(c.ExcludeModules), Ranks: c.RankPattern, Alphas: c.AlphaPattern,
		Layers: c.LayersToTransform, LayersPattern: c.LayersPattern, ModulesToSave: c.ModulesToSave, Bias: c.Bias,
		TieSaved: c.EnsureWeightTying,
	}
}
