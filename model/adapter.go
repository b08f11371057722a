package model

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"vgid/model/hf"
)

// peftPrefix begins every tensor name in an adapter file; behind it comes the
// module's path in memory, under transformers 5 or, in older adapters, 4.
const peftPrefix = "base_model.model."

// baseKey is where the metadata of an adapter file keeps the Fingerprint of
// what the adapter was attached to.
const baseKey = "vgid.base"

// AdapterOptions belong to LoadAdapterAs.
type AdapterOptions struct {
	// AnyBase takes an adapter that says it was made for another base.
	AnyBase bool
}

// SaveAdapter writes the adapter as a PEFT folder for the base model of that
// name or path. Its target_modules are whole paths, so that PEFT picks exactly
// these modules.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.adapter == nil {
		return fmt.Errorf("%s: the model has no adapter to save", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tensors, err := m.tensors(func(w *weight) string {
		if w.lora == 0 && !w.whole {
			return ""
		}
		return peftPrefix + m.adapterName(w)
	})
	if err != nil {
		return err
	}
	if w := m.shared(); w != nil && w.whole { // PEFT stores both
		for _, t := range tensors {
			if t.Name == peftPrefix+m.adapterName(w) {
				t.Name = peftPrefix + m.Config.Family.MemoryName(m.Config.Family.HeadName())
				tensors = append(tensors, t)
			}
		}
	}
	a := m.adapter
	c := hf.AdapterConfig{
		BaseModel: base, R: a.R, LoraAlpha: float64(a.Alpha), LoraDropout: float64(a.Dropout), UseRSLora: a.RSLoRA,
		ModulesToSave: a.ModulesToSave, Bias: a.Bias, InferenceMode: true, EnsureWeightTying: a.TieSaved,
	}
	for _, p := range m.adapted {
		path := m.Config.Family.MemoryName(p.Name)
		c.TargetModules.Names = append(c.TargetModules.Names, path)
		if p.r != a.R {
			c.RankPattern = append(c.RankPattern, hf.ModuleValue[int]{Pattern: regexp.QuoteMeta(path), Value: p.r})
		}
		if p.alpha != a.Alpha {
			c.AlphaPattern = append(c.AlphaPattern, hf.ModuleValue[float64]{Pattern: regexp.QuoteMeta(path), Value: float64(p.alpha)})
		}
	}
	return hf.WriteAdapter(dir, c, tensors, map[string]string{baseKey: m.baseID})
}

// adapterName is the name PEFT gives to a weight of an adapter. A bias of a
// layer with a branch is that of the layer inside.
func (m *Model) adapterName(w *weight) string {
	name := m.Config.Family.MemoryName(w.Name)
	layer, bias := strings.CutSuffix(w.Name, ".bias")
	if bias && slices.ContainsFunc(m.adapted, func(p picked) bool { return p.Name == layer }) {
		return m.Config.Family.MemoryName(layer) + ".base_layer.bias"
	}
	return name
}

// LoadAdapter is LoadAdapterAs without options.
func (m *Model) LoadAdapter(dir string) ([]string, error) {
	return m.LoadAdapterAs(dir, AdapterOptions{})
}

// LoadAdapterAs attaches the adapter of a PEFT folder, written under
// transformers 4 or 5, and trains it. Branches of layers that no output
// depends on are kept for a merge, and not trained. It returns the names of the
// modules that are.
func (m *Model) LoadAdapterAs(dir string, o AdapterOptions) ([]string, error) {
	conf, files, err := hf.ReadAdapter(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	if err := m.loadAdapter(&conf, files, o); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m.AdapterModules(), nil
}

func (m *Model) loadAdapter(conf *hf.AdapterConfig, files *hf.Weights, o AdapterOptions) error {
	rules, err := conf.Rules()
	if err != nil {
		return err
	}
	found, err := m.sortAdapter(files)
	if err != nil {
		return err
	}
	hits, idle, err := m.stored(rules, found)
	if err != nil {
		return err
	}
	if err := m.tie(conf, rules, files, found); err != nil {
		return err
	}
	var whole []*weight
	for _, w := range m.weights {
		if found.whole[w.Name] != "" {
			whole = append(whole, w)
		}
	}
	c := LoRAConfig{
		R: conf.R, Alpha: float32(conf.LoraAlpha), Dropout: float32(conf.LoraDropout), RSLoRA: conf.UseRSLora,
		ModulesToSave: conf.ModulesToSave, Bias: conf.Bias, TieSaved: conf.EnsureWeightTying,
	}
	for _, p := range hits {
		c.Targets = append(c.Targets, p.Name)
	}
	if len(hits) == 0 {
		return fmt.Errorf("the adapter has no layer of this model that an output depends on")
	}
	for _, p := range slices.Concat(hits, idle) {
		for _, w := range p.branch() {
			if err := m.fitsAdapter(files, w, found.branch[w.Name]); err != nil {
				return err
			}
		}
	}
	for _, w := range whole {
		if err := m.fitsAdapter(files, w, found.whole[w.Name]); err != nil {
			return err
		}
	}
	if !o.AnyBase {
		if err := m.isBase(conf, files); err != nil {
			return err
		}
	}
	if err := m.attachAll(&c, hits, whole); err != nil {
		return err
	}
	err = m.carry(&c, idle, files, found)
	if err == nil {
		err = m.readAdapter(files, found)
	}
	if err != nil {
		return errors.Join(err, m.drop())
	}
	return nil
}

// isBase refuses an adapter that says it was made for another model. Those of
// other programs say nothing but a name, which may be a path of anywhere.
func (m *Model) isBase(conf *hf.AdapterConfig, files *hf.Weights) error {
	id := files.Metadata()[baseKey]
	if id == "" {
		return nil
	}
	mine, err := m.Fingerprint()
	if err == nil && id != mine {
		err = fmt.Errorf("the adapter was made for another base model (%q, fingerprint %s) than this one (fingerprint %s); give the model it was trained on, or --any-base to use it all the same", conf.BaseModel, id, mine)
	}
	return err
}

// fitsAdapter checks that the file has the tensor of a weight.
func (m *Model) fitsAdapter(files *hf.Weights, w *weight, name string) error {
	info, ok := files.Info(name)
	if !ok {
		return fmt.Errorf("tensor %q is missing", peftPrefix+m.Config.Family.MemoryName(w.Name))
	}
	if info.Elements() == 0 {
		return emptied(name)
	}
	resized := w.lora == 0 && (w.Param == m.text.Embed || w.Param == m.text.Head) && len(info.Shape) == 2 && info.Shape[1] == w.Shape[1]
	if resized && info.Shape[0] != w.Shape[0] {
		return fmt.Errorf("tensor %q has %d rows, this model's vocabulary %d: tokens were added before the adapter was trained; give the base with them (transformers: resize_token_embeddings(%d), save_pretrained)", name, info.Shape[0], w.Shape[0], info.Shape[0])
	}
	if !slices.Equal(info.Shape, w.Shape) {
		return fmt.Errorf("tensor %q has shape %v, this model and r ask for %v; an adapter fits the model it was trained on", name, info.Shape, w.Shape)
	}
	return nil
}

func (m *Model) readAdapter(files *hf.Weights, found adapterTensors) error {
	for _, w := range m.weights {
		name := found.whole[w.Name]
		if w.lora != 0 {
			name = found.branch[w.Name]
		} else if !w.whole {
			continue
		}
		host := make([]float32, w.Value.Len())
		if err := files.ReadF32(name, host); err != nil {
			return err
		}
		m.be.Upload(w.Value, host)
	}
	return m.be.Sync()
}

// stored are the modules an adapter file holds branches of, with their ranks;
// apart those that no output depends on. A layer that the config picks has to be
// in the file, unless it is of these.
func (m *Model) stored(rules *hf.ModuleRules, found adapterTensors) (hits, idle []picked, err error) {
	name := func(own string) string { return own } // the paths of transformers 4
	for own, path := range found.path {
		if path == m.Config.Family.MemoryName(own) {
			name = m.Config.Family.MemoryName
		}
	}
	for _, mod := range m.modules {
		path, ok := found.path[mod.Name]
		unread := m.Config.Idle(mod.Name + ".")
		if !ok && unread {
			continue
		}
		if !ok {
			missing, err := rules.Targets(hf.Module{Path: name(mod.Name), Linear: true})
			if err == nil && missing {
				err = fmt.Errorf("tensor %q is missing, but target_modules picks its layer", peftPrefix+name(mod.Name)+".lora_A.weight")
			}
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		p, err := m.ranked(rules, mod, path)
		if err != nil {
			return nil, nil, err
		}
		if unread {
			idle = append(idle, p)
		} else {
			hits = append(hits, p)
		}
	}
	return hits, idle, nil
}
