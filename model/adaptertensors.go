package model

import (
	"fmt"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/nn"
	"vgid/model/tape"
)

// adapterTensors are the tensors of an adapter file by our names.
type adapterTensors struct {
	branch map[string]string // lora_A and lora_B
	whole  map[string]string // modules_to_save, biases and stored embeddings
	path   map[string]string // module to the path in the file
	// head is the tensor of the head of a model that has none of its own: it is
	// the embedding.
	head *string
}

// sortAdapter finds the weights that the tensors of an adapter belong to.
func (m *Model) sortAdapter(files *hf.Weights) (adapterTensors, error) {
	found := adapterTensors{map[string]string{}, map[string]string{}, map[string]string{}, new(string)}
	var second error // of a layer's own weight: what is said of its branch says more
	for _, name := range files.Names() {
		path, ok := strings.CutPrefix(name, peftPrefix)
		if !ok {
			return found, fmt.Errorf("tensor %q is no part of a LoRA adapter: PEFT begins every name with %q", name, peftPrefix)
		}
		copied, err := m.isCopy(files, path)
		if err != nil {
			return found, err
		}
		path = unnamed(path)
		own := m.Config.Family.DiskName(path)
		layer, a := strings.CutSuffix(own, ".lora_A.weight")
		layer, b := strings.CutSuffix(layer, ".lora_B.weight")
		switch _, lora := lastCut(own, ".lora_"); {
		case copied:
		case a || b:
			if !slices.ContainsFunc(m.modules, func(x nn.Module) bool { return x.Name == layer }) {
				return found, m.unadaptable(name, layer)
			}
			if twin := found.branch[own]; twin != "" {
				return found, fmt.Errorf("tensors %q and %q are the same one; leave one", twin, name)
			}
			found.branch[own], found.path[layer] = name, path[:len(path)-len(".lora_A.weight")]
		case lora:
			layer, _ := lastCut(own, ".lora_")
			return found, m.unadaptable(name, layer)
		default:
			own = strings.Replace(own, ".base_layer.", ".", 1)
			switch {
			case slices.ContainsFunc(m.weights, func(w *weight) bool { return w.Name == own }):
				found.whole[own] = name
			case m.shared() != nil && own == m.Config.Family.HeadName():
				*found.head = name
			case second == nil:
				second = fmt.Errorf("tensor %q is no weight of this model", name)
			}
		}
	}
	return found, second
}

// unnamed takes the adapter's name out of the path of a branch. A plain state dict
// has it (lora_A.default.weight), PEFT's save_pretrained leaves it out, and PEFT
// 0.21 reads both.
func unnamed(path string) string {
	for _, ab := range []string{".lora_A", ".lora_B"} {
		if module, ok := strings.CutSuffix(path, ab+".default.weight"); ok {
			return module + ab + ".weight"
		}
	}
	return path
}

func lastCut(s, sep string) (before string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], true
	}
	return s, false
}

// unadaptable says why the layer of a tensor can have no branch, or not one of
// that kind.
func (m *Model) unadaptable(tensor, layer string) error {
	const instead = "merge the adapter with PEFT (merge_and_unload) and give the merged folder, or train it without"
	path := m.Config.Family.MemoryName(layer)
	is := func(p *tape.Param) bool { return layer+".weight" == p.Name }
	switch {
	case layer+".weight" == m.Config.Family.HeadName():
		tied := ""
		if m.shared() != nil {
			tied = ", which is tied to the embedding"
		}
		return fmt.Errorf("tensor %q: a branch on the head (%s)%s is not implemented; %s", tensor, path, tied, instead)
	case is(m.text.Embed):
		tied := ""
		if m.shared() != nil {
			tied = ", which is tied to the head"
		}
		return fmt.Errorf("tensor %q: a branch on the embedding (%s)%s is not implemented; %s", tensor, path, tied, instead)
	case slices.ContainsFunc(m.modules, func(x nn.Module) bool { return x.Name == layer }):
		return fmt.Errorf("tensor %q is no part of a plain LoRA branch (lora_A, lora_B), which is not implemented; %s", tensor, instead)
	case slices.Contains(m.carriers(), layer):
		return fmt.Errorf("tensor %q: a branch on a convolution (%s) is not implemented; %s", tensor, path, instead)
	}
	return fmt.Errorf("tensor %q is for a layer that this model does not have; an adapter fits the model it was trained on", tensor)
}

// isCopy reports whether a tensor only repeats another one of the file. With
// bias: all PEFT 0.21 stores the biases of modules_to_save three times: plainly,
// below modules_to_save (the trained value again) and below original_module
// (what was there before, which nothing reads).
func (m *Model) isCopy(files *hf.Weights, path string) (bool, error) {
	if strings.Contains(path, ".original_module.") {
		return true, nil
	}
	module, rest, ok := strings.Cut(path, ".modules_to_save.")
	if !ok {
		return false, nil
	}
	_, unnamed, _ := strings.Cut(rest, ".") // behind the adapter's name, where it is given
	for _, r := range []string{rest, unnamed} {
		plain := peftPrefix + module + "." + r
		if _, ok := files.Info(plain); !ok {
			continue
		}
		same, err := sameTensor(files, peftPrefix+path, plain)
		if err == nil && !same {
			err = fmt.Errorf("tensor %q differs from %q, which it should repeat", peftPrefix+path, plain)
		}
		return true, err
	}
	return false, fmt.Errorf("tensor %q repeats one that is missing: %q", peftPrefix+path, peftPrefix+module+"."+rest)
}

// sameTensor reports whether two tensors of a file hold the same numbers.
func sameTensor(files *hf.Weights, a, b string) (bool, error) {
	x, _ := files.Info(a)
	y, _ := files.Info(b)
	if !slices.Equal(x.Shape, y.Shape) {
		return false, nil
	}
	v, w := make([]float32, x.Elements()), make([]float32, y.Elements())
	if err := files.ReadF32(a, v); err != nil {
		return false, err
	}
	if err := files.ReadF32(b, w); err != nil {
		return false, err
	}
	return slices.Equal(v, w), nil
}

// shared is the weight that is both embedding and head, nil where they are two.
func (m *Model) shared() *weight {
	if m.text.Head != m.text.Embed {
		return nil
	}
	i := slices.IndexFunc(m.weights, func(w *weight) bool { return w.Param == m.text.Head })
	return m.weights[i]
}

// tie settles what an adapter stores of an embedding and a head that the model
// shares. What equals the base's is left out; both stored alike take the shared
// weight's place; one apart from the other cannot be kept.
func (m *Model) tie(conf *hf.AdapterConfig, rules *hf.ModuleRules, files *hf.Weights, found adapterTensors) error {
	w := m.shared()
	if w == nil {
		return nil
	}
	embed, head := found.whole[w.Name], *found.head
	stored := embed
	if stored == "" {
		stored = head
	}
	if stored == "" {
		return nil
	}
	if err := m.fitsAdapter(files, w, stored); err != nil {
		return err
	}
	alike, err := true, error(nil)
	if embed != "" && head != "" {
		alike, err = sameTensor(files, embed, head)
	}
	var base bool
	if err == nil && alike {
		base, err = m.isUntrained(files, w, stored)
	}
	path := strings.TrimSuffix(strings.TrimPrefix(stored, peftPrefix), ".weight")
	apart := (embed == "" || head == "") && len(rules.SavedBy(path)) > 0 && !conf.EnsureWeightTying
	switch {
	case err != nil:
		return err
	case base:
		delete(found.whole, w.Name)
	case !alike || apart:
		return fmt.Errorf("tensor %q is trained apart from what this model ties it to (tie_word_embeddings: the head is the embedding): not implemented; train with ensure_weight_tying, or without modules_to_save of the two", stored)
	default:
		found.whole[w.Name] = stored
	}
	return nil
}

// isUntrained reports whether a tensor holds what the model has without the
// adapter.
func (m *Model) isUntrained(files *hf.Weights, w *weight, name string) (bool, error) {
	width := w.rowLen()
	per := max(1, pieceElements/width)
	ours, theirs := make([]float32, per*width), make([]float32, per*width)
	for from := 0; from < w.Shape[0]; from += per {
		n := min(per, w.Shape[0]-from) * width
		if err := m.untrainedRows(w, ours[:n], from); err != nil {
			return false, err
		}
		if err := files.ReadRows(name, theirs[:n], from); err != nil {
			return false, err
		}
		if !slices.Equal(ours[:n], theirs[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// carry keeps the branches of modules that no output depends on for a merge,
// where another program may read those layers.
func (m *Model) carry(c *LoRAConfig, idle []picked, files *hf.Weights, found adapterTensors) error {
	if len(idle) == 0 {
		return nil
	}
	defer backend.For(m.be, backend.Weights)()
	m.carried = map[string]*tape.LoRA{}
	for _, p := range idle {
		ab := p.branch()
		for _, w := range ab {
			buf, err := m.be.Alloc(backend.F32, w.Value.Len())
			if err != nil {
				return fmt.Errorf("no memory for %s: %w", w.Name, err)
			}
			m.buffers[buf] = true
			w.Value = backend.View(buf, 0, w.Value.Rows, w.Value.Cols)
			host := make([]float32, w.Value.Len())
			if err := files.ReadF32(found.branch[w.Name], host); err != nil {
				return err
			}
			m.be.Upload(w.Value, host)
		}
		of := p.Projection().W.Name
		m.carried[of] = &tape.LoRA{A: ab[0].Param, B: ab[1].Param, Scale: c.scale(p.r, p.alpha)}
	}
	return m.be.Sync()
}
