package adapter

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"vgid/model/adapter/peft"
	"vgid/model/hf"
	"vgid/model/params"
)

// baseKey is where the metadata of an adapter file keeps the Fingerprint of
// what the adapter was attached to.
const baseKey = "vgid.base"

// Save writes the adapter as a PEFT folder for the base model of that name or
// path. Its target_modules are whole paths, so that PEFT picks exactly these
// modules.
// Branches that are only carried along are not written: nothing of them was trained.
func (a *Adapter) Save(dir, base string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	family := a.set.Config.Family
	tensors, err := a.tensors()
	if err != nil {
		return err
	}
	if w := a.set.Tied(); w != nil && w.Whole { // PEFT stores both
		for _, t := range tensors {
			if t.Name == hf.PEFTPrefix+a.name(w) {
				t.Name = hf.PEFTPrefix + family.MemoryName(family.HeadName())
				tensors = append(tensors, t)
			}
		}
	}
	c := &a.Config
	conf := peft.Config{
		BaseModel: base, R: c.R, LoraAlpha: float64(c.Alpha), LoraDropout: float64(c.Dropout), UseRSLora: c.RSLoRA,
		ModulesToSave: c.ModulesToSave, Bias: c.Bias, InferenceMode: true, EnsureWeightTying: c.TieSaved,
	}
	for _, p := range a.hits {
		path := family.MemoryName(p.Name)
		conf.TargetModules.Names = append(conf.TargetModules.Names, path)
		if p.r != c.R {
			conf.RankPattern = append(conf.RankPattern, peft.ModuleValue[int]{Pattern: regexp.QuoteMeta(path), Value: p.r})
		}
		if p.alpha != c.Alpha {
			conf.AlphaPattern = append(conf.AlphaPattern, peft.ModuleValue[float64]{Pattern: regexp.QuoteMeta(path), Value: float64(p.alpha)})
		}
	}
	return peft.Write(dir, conf, tensors, map[string]string{baseKey: a.base})
}

// tensors downloads what the adapter trains, as float32 under PEFT's names.
// float32 whatever the base is stored in: the adapter is trained in it.
// They are in the order of the set's weights; each is a copy in host memory.
func (a *Adapter) tensors() ([]hf.NamedTensor, error) {
	var out []hf.NamedTensor
	for _, w := range a.set.Weights {
		if w.Branch == 0 && !w.Whole {
			continue
		}
		data := make([]float32, w.Value.Len())
		if err := a.set.Backend().Download(data, w.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		out = append(out, hf.NamedTensor{Name: hf.PEFTPrefix + a.name(w), Shape: slices.Clone(w.Shape), DType: "F32", Data: data})
	}
	return out, nil
}

// name is the name PEFT gives to a weight of an adapter. A bias of a layer with a
// branch is that of the layer inside.
func (a *Adapter) name(w *params.Weight) string {
	family := a.set.Config.Family
	layer, bias := strings.CutSuffix(w.Name, ".bias")
	if bias && slices.ContainsFunc(a.hits, func(p picked) bool { return p.Name == layer }) {
		return family.MemoryName(layer) + ".base_layer.bias"
	}
	return family.MemoryName(w.Name)
}
