package model

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"vgid/model/hf"
)

// peftPrefix begins every tensor name in an adapter file; behind it comes the
// module's path in memory under transformers 5.
const peftPrefix = "base_model.model."

// SaveAdapter writes the adapter as a PEFT folder for the base model of that
// name or path.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.adapter == nil {
		return fmt.Errorf("%s: the model has no adapter to save", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tensors, err := m.tensors("F32", func(w *weight) string {
		if w.lora == 0 {
			return ""
		}
		return peftPrefix + m.family.memoryName(w.Name)
	})
	if err != nil {
		return err
	}
	var targets []string
	for _, name := range m.AdapterModules() {
		targets = append(targets, m.family.memoryName(name))
	}
	return hf.WriteAdapter(dir, hf.AdapterConfig{
		BaseModel: base, R: m.adapter.R, LoraAlpha: float64(m.adapter.Alpha), LoraDropout: float64(m.adapter.Dropout),
		TargetModules: hf.ModuleList{Names: targets}, UseRSLora: m.adapter.RSLoRA, InferenceMode: true,
	}, tensors, nil)
}

// refuseAdapter names the first field of an adapter that is not implemented.
func refuseAdapter(c *hf.AdapterConfig) error {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{c.Bias != "none", "bias other than none"}, {len(c.ModulesToSave) > 0, "modules_to_save"}, {len(c.RankPattern) > 0, "rank_pattern"},
		{len(c.AlphaPattern) > 0, "alpha_pattern"},
	} {
		if f.set {
			return fmt.Errorf("adapter_config.json: %s is not implemented", f.name)
		}
	}
	return nil
}

// LoadAdapter attaches the adapter of a PEFT folder, written under
// transformers 4 or 5, and trains it. Branches of layers that no output
// depends on are left out. It returns the modules' names.
func (m *Model) LoadAdapter(dir string) ([]string, error) {
	c, files, err := hf.ReadAdapter(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	if err := refuseAdapter(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	where := map[string]string{}
	modules := map[string]bool{}
	for _, name := range files.Names() {
		path, ok := strings.CutPrefix(name, peftPrefix)
		own := m.family.diskName(path)
		path = strings.TrimSuffix(strings.TrimSuffix(own, ".lora_A.weight"), ".lora_B.weight")
		if !ok || path == own {
			return nil, fmt.Errorf("%s: tensor %q is no part of a LoRA adapter", dir, name)
		}
		if !slices.ContainsFunc(m.modules, func(x module) bool { return x.name == path }) {
			return nil, fmt.Errorf("%s: tensor %q is for a layer that this model does not have", dir, name)
		}
		where[own], modules[path] = name, true
	}
	targets := make([]string, 0, len(modules))
	for name := range modules {
		targets = append(targets, name)
	}
	sort.Strings(targets)
	names, err := m.AddLoRA(LoRAConfig{
		R: c.R, Alpha: float32(c.LoraAlpha), Dropout: float32(c.LoraDropout), Targets: targets, RSLoRA: c.UseRSLora,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	for _, w := range m.weights {
		if w.lora == 0 {
			continue
		}
		if err := m.readAdapter(files, w, where[w.Name]); err != nil {
			m.detach()
			if err2 := m.flatten(); err2 != nil {
				return nil, err2
			}
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	return names, m.be.Sync()
}

func (m *Model) readAdapter(files *hf.Weights, w *weight, name string) error {
	info, ok := files.Info(name)
	if !ok {
		return fmt.Errorf("tensor %q is missing", peftPrefix+m.family.memoryName(w.Name))
	}
	if !slices.Equal(info.Shape, w.shape) {
		return fmt.Errorf("tensor %q has shape %v, this model and r ask for %v", name, info.Shape, w.shape)
	}
	host := make([]float32, w.Value.Len())
	if err := files.ReadF32(name, host); err != nil {
		return err
	}
	m.be.Upload(w.Value, host)
	return nil
}
