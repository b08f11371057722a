package adapter

import (
	"fmt"
	"slices"
	"strings"

	"vgid/model/hf"
	"vgid/model/nn"
	"vgid/model/params"
	"vgid/model/tape"
)

// sort finds the weights that the tensors of an adapter belong to.
// It fills the maps, or refuses a tensor that means nothing in this model: nothing of a file is
// passed over.
func (r *reader) sort() error {
	r.branch, r.whole, r.path = map[string]string{}, map[string]string{}, map[string]string{}
	var second error // of a layer's own weight: what is said of its branch says more
	for _, name := range r.files.Names() {
		path, ok := strings.CutPrefix(name, hf.PEFTPrefix)
		if !ok {
			return fmt.Errorf("tensor %q is no part of a LoRA adapter: PEFT begins every name with %q", name, hf.PEFTPrefix)
		}
		copied, err := r.isCopy(path)
		if err != nil {
			return err
		}
		path = unnamed(path)
		own := r.set.Config.Family.DiskName(path)
		layer, a := strings.CutSuffix(own, ".lora_A.weight")
		layer, b := strings.CutSuffix(layer, ".lora_B.weight")
		switch _, lora := lastCut(own, ".lora_"); {
		case copied:
		case a || b:
			if !slices.ContainsFunc(r.set.Modules, func(x nn.Module) bool { return x.Name == layer }) {
				return r.unadaptable(name, layer)
			}
			if other := r.branch[own]; other != "" {
				return fmt.Errorf("tensors %q and %q are the same one; leave one", other, name)
			}
			r.branch[own], r.path[layer] = name, path[:len(path)-len(".lora_A.weight")]
		case lora:
			layer, _ := lastCut(own, ".lora_")
			return r.unadaptable(name, layer)
		default:
			// PEFT wraps a layer that has a branch and calls the original base_layer.
			own = strings.Replace(own, ".base_layer.", ".", 1)
			switch {
			case slices.ContainsFunc(r.set.Weights, func(w *params.Weight) bool { return w.Name == own }):
				r.whole[own] = name
			case r.set.Tied() != nil && own == r.set.Config.Family.HeadName():
				r.head = name
			case second == nil:
				second = fmt.Errorf("tensor %q is no weight of this model", name)
			}
		}
	}
	return second
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

// lastCut is strings.Cut at the last sep, with what is before it alone.
func lastCut(s, sep string) (before string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], true
	}
	return s, false
}

// unadaptable says why the layer of a tensor can have no branch, or not one of
// that kind.
func (r *reader) unadaptable(tensor, layer string) error {
	const instead = "merge the adapter with PEFT (merge_and_unload) and give the merged folder, or train it without"
	path := r.set.Config.Family.MemoryName(layer)
	is := func(p *tape.Param) bool { return layer+".weight" == p.Name }
	switch {
	case layer+".weight" == r.set.Config.Family.HeadName():
		tied := ""
		if r.set.Tied() != nil {
			tied = ", which is tied to the embedding"
		}
		return fmt.Errorf("tensor %q: a branch on the head (%s)%s is not implemented; %s", tensor, path, tied, instead)
	case is(r.set.Embedding()):
		tied := ""
		if r.set.Tied() != nil {
			tied = ", which is tied to the head"
		}
		return fmt.Errorf("tensor %q: a branch on the embedding (%s)%s is not implemented; %s", tensor, path, tied, instead)
	case slices.ContainsFunc(r.set.Modules, func(x nn.Module) bool { return x.Name == layer }):
		return fmt.Errorf("tensor %q is no part of a plain LoRA branch (lora_A, lora_B), which is not implemented; %s", tensor, instead)
	case slices.Contains(carriers(r.set), layer):
		return fmt.Errorf("tensor %q: a branch on a convolution (%s) is not implemented; %s", tensor, path, instead)
	}
	return fmt.Errorf("tensor %q is for a layer that this model does not have; an adapter fits the model it was trained on", tensor)
}

// isCopy reports whether a tensor only repeats another one of the file. With
// bias: all PEFT 0.21 stores the biases of modules_to_save three times: plainly,
// below modules_to_save (the trained value again) and below original_module
// (what was there before, which nothing reads).
func (r *reader) isCopy(path string) (bool, error) {
	if strings.Contains(path, ".original_module.") {
		return true, nil
	}
	module, rest, ok := strings.Cut(path, ".modules_to_save.")
	if !ok {
		return false, nil
	}
	_, unnamed, _ := strings.Cut(rest, ".") // behind the adapter's name, where it is given
	for _, tensor := range []string{rest, unnamed} {
		plain := hf.PEFTPrefix + module + "." + tensor
		if _, ok := r.files.Info(plain); !ok {
			continue
		}
		same, err := sameTensor(r.files, hf.PEFTPrefix+path, plain)
		if err == nil && !same {
			err = fmt.Errorf("tensor %q differs from %q, which it should repeat", hf.PEFTPrefix+path, plain)
		}
		return true, err
	}
	return false, fmt.Errorf("tensor %q repeats one that is missing: %q", hf.PEFTPrefix+path, hf.PEFTPrefix+module+"."+rest)
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

// tie decides about what an adapter stores of an embedding and a head that the model
// shares. What equals the base's is left out; both stored alike take the shared
// weight's place; one apart from the other cannot be kept.
// It runs after sort, and may take the shared weight out of r.whole or put it in.
func (r *reader) tie() error {
	w := r.set.Tied()
	if w == nil {
		return nil
	}
	embed, head := r.whole[w.Name], r.head
	stored := embed
	if stored == "" {
		stored = head
	}
	if stored == "" {
		return nil
	}
	if err := r.fits(w, stored); err != nil {
		return err
	}
	alike, err := true, error(nil)
	if embed != "" && head != "" {
		alike, err = sameTensor(r.files, embed, head)
	}
	var base bool
	if err == nil && alike {
		base, err = r.isUntrained(w, stored)
	}
	path := strings.TrimSuffix(strings.TrimPrefix(stored, hf.PEFTPrefix), ".weight")
	apart := (embed == "" || head == "") && len(r.rules.SavedBy(path)) > 0 && !r.conf.EnsureWeightTying
	switch {
	case err != nil:
		return err
	case base:
		delete(r.whole, w.Name)
	case !alike || apart:
		return fmt.Errorf("tensor %q is trained apart from what this model ties it to (tie_word_embeddings: the head is the embedding): not implemented; train with ensure_weight_tying, or without modules_to_save of the two", stored)
	default:
		r.whole[w.Name] = stored
	}
	return nil
}

// pieceElements is about how much of a tensor is compared at a time.
// That is 4 MiB of float32 from each side, where an embedding may have two gigabytes.
const pieceElements = 1 << 20

// isUntrained reports whether a tensor holds what the model has without the
// adapter.
func (r *reader) isUntrained(w *params.Weight, name string) (bool, error) {
	width := w.RowLen()
	per := max(1, pieceElements/width)
	ours, theirs := make([]float32, per*width), make([]float32, per*width)
	for from := 0; from < w.Shape[0]; from += per {
		n := min(per, w.Shape[0]-from) * width
		if err := r.set.UntrainedRows(w, ours[:n], from); err != nil {
			return false, err
		}
		if err := r.files.ReadRows(name, theirs[:n], from); err != nil {
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
// They are not trained, and passes do not see them: only Branch and Merge do.
func (r *reader) carry(a *Adapter, idle []picked) error {
	if len(idle) == 0 {
		return nil
	}
	a.idle = map[string]*tape.LoRA{}
	var branches []*params.Weight
	for _, p := range idle {
		ab := p.branch()
		branches = append(branches, ab[:]...)
		a.idle[p.Projection().W.Name] = &tape.LoRA{A: ab[0].Param, B: ab[1].Param, Scale: a.Config.scale(p.r, p.alpha)}
	}
	if err := r.set.Carry(branches); err != nil {
		return err
	}
	for _, w := range branches {
		host := make([]float32, w.Value.Len())
		if err := r.files.ReadF32(r.branch[w.Name], host); err != nil {
			return err
		}
		r.set.Backend().Upload(w.Value, host)
	}
	return r.set.Backend().Sync()
}
