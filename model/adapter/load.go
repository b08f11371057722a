package adapter

import (
	"errors"
	"fmt"
	"slices"

	"vgid/model/adapter/peft"
	"vgid/model/hf"
	"vgid/model/params"
)

// Options belong to Load.
type Options struct {
	// AnyBase takes an adapter that says it was made for another base.
	AnyBase bool
}

// Load attaches the adapter of a PEFT folder, written under transformers 4 or 5,
// and trains it. Branches of layers that no output depends on are kept for a
// merge, and not trained.
func Load(s *params.Set, dir string, o Options) (*Adapter, error) {
	conf, files, err := peft.Read(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	r := &reader{set: s, conf: &conf, files: files}
	a, err := r.load(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return a, nil
}

// reader is the reading of one adapter folder for a model.
// The maps are filled by sort, from the names of tensors alone; no weight of the model is written
// before all fit.
// Keys are names in files (DiskName), values names or paths as the adapter's file spells them.
type reader struct {
	set   *params.Set
	conf  *peft.Config
	rules *peft.Rules
	files *hf.Weights

	// The tensors of the file by the model's names.
	branch map[string]string // lora_A and lora_B
	whole  map[string]string // modules_to_save, biases and stored embeddings
	path   map[string]string // module to the path in the file
	// head is the tensor of the head of a model that has none of its own: it is
	// the embedding.
	head string
}

// load checks everything before it changes anything of the model.
// A rank or alpha of a module's own is in hits, and Save writes it as a pattern again.
func (r *reader) load(o Options) (*Adapter, error) {
	var err error
	if r.rules, err = r.conf.Rules(); err != nil {
		return nil, err
	}
	if err := r.sort(); err != nil {
		return nil, err
	}
	hits, idle, err := r.stored()
	if err != nil {
		return nil, err
	}
	if err := r.tie(); err != nil {
		return nil, err
	}
	if len(hits) == 0 {
		return nil, fmt.Errorf("the adapter has no layer of this model that an output depends on")
	}
	whole, err := r.fitting(slices.Concat(hits, idle))
	if err != nil {
		return nil, err
	}
	if !o.AnyBase {
		if err := r.isBase(); err != nil {
			return nil, err
		}
	}
	c := Config{
		R: r.conf.R, Alpha: float32(r.conf.LoraAlpha), Dropout: float32(r.conf.LoraDropout), RSLoRA: r.conf.UseRSLora,
		ModulesToSave: r.conf.ModulesToSave, Bias: r.conf.Bias, TieSaved: r.conf.EnsureWeightTying,
	}
	for _, p := range hits {
		c.Targets = append(c.Targets, p.Name)
	}
	a, err := attach(r.set, c, hits, whole)
	if err != nil {
		return nil, err
	}
	if err = r.carry(a, idle); err == nil {
		err = r.read()
	}
	if err != nil {
		return nil, errors.Join(err, a.detach(false))
	}
	return a, nil
}

// fitting checks the tensors of branches, and of the weights that the file holds
// as a whole, which it returns.
func (r *reader) fitting(branches []picked) (whole []*params.Weight, err error) {
	for _, p := range branches {
		for _, w := range p.branch() {
			if err := r.fits(w, r.branch[w.Name]); err != nil {
				return nil, err
			}
		}
	}
	for _, w := range r.set.Weights {
		name := r.whole[w.Name]
		if name == "" {
			continue
		}
		if err := r.fits(w, name); err != nil {
			return nil, err
		}
		whole = append(whole, w)
	}
	return whole, nil
}

// isBase refuses an adapter that says it was made for another model. Those of
// other programs say nothing but a name, which may be a path of anywhere.
// The fingerprint is in the metadata of files that Save wrote.
func (r *reader) isBase() error {
	id := r.files.Metadata()[baseKey]
	if id == "" {
		return nil
	}
	mine, err := r.set.Fingerprint()
	if err == nil && id != mine {
		err = &OtherBaseError{Name: r.conf.BaseModel, Theirs: id, Ours: mine}
	}
	return err
}

// OtherBaseError says that an adapter was made for another model. Options.AnyBase
// takes it all the same.
type OtherBaseError struct {
	Name         string // of its base, or where that lay
	Theirs, Ours string // Fingerprints of its base and of this model
}

func (e *OtherBaseError) Error() string {
	return fmt.Sprintf("the adapter was made for another base model (%q, fingerprint %s) than this one (fingerprint %s); give the model it was trained on", e.Name, e.Theirs, e.Ours)
}

// fits checks that the file has the tensor of a weight.
func (r *reader) fits(w *params.Weight, name string) error {
	info, ok := r.files.Info(name)
	if !ok {
		return fmt.Errorf("tensor %q is missing", hf.PEFTPrefix+r.set.Config.Family.MemoryName(w.Name))
	}
	// DeepSpeed ZeRO-3 leaves such tensors where nobody gathered them before saving.
	if info.Elements() == 0 {
		return params.Emptied(name)
	}
	resized := w.Branch == 0 && (w.Param == r.set.Embedding() || w.Param == r.set.Head()) && len(info.Shape) == 2 && info.Shape[1] == w.Shape[1]
	if resized && info.Shape[0] != w.Shape[0] {
		return fmt.Errorf("tensor %q has %d rows, this model's vocabulary %d: tokens were added before the adapter was trained; give the base with them (transformers: resize_token_embeddings(%d), save_pretrained)", name, info.Shape[0], w.Shape[0], info.Shape[0])
	}
	if !slices.Equal(info.Shape, w.Shape) {
		return fmt.Errorf("tensor %q has shape %v, this model and r ask for %v; an adapter fits the model it was trained on", name, info.Shape, w.Shape)
	}
	return nil
}

// read fills the adapter from the file.
func (r *reader) read() error {
	for _, w := range r.set.Weights {
		name := r.whole[w.Name]
		if w.Branch != 0 {
			name = r.branch[w.Name]
		} else if !w.Whole {
			continue
		}
		// One tensor at a time is in host memory; widening to float32 is exact for every type that
		// is read.
		host := make([]float32, w.Value.Len())
		if err := r.files.ReadF32(name, host); err != nil {
			return err
		}
		r.set.Backend().Upload(w.Value, host)
	}
	return r.set.Backend().Sync()
}

// stored are the modules an adapter file holds branches of, with their ranks;
// apart those that no output depends on. A layer that the config picks has to be
// in the file, unless it is of these.
func (r *reader) stored() (hits, idle []picked, err error) {
	name := func(own string) string { return own } // the paths of transformers 4
	// One path in memory's form is enough: a file is written by one release and has one form.
	for own, path := range r.path {
		if path == r.set.Config.Family.MemoryName(own) {
			name = r.set.Config.Family.MemoryName
		}
	}
	for _, mod := range r.set.Modules {
		path, ok := r.path[mod.Name]
		unread := r.set.Config.Idle(mod.Name + ".")
		if !ok && unread {
			continue
		}
		if !ok {
			missing, err := r.rules.Targets(peft.Module{Path: name(mod.Name), Linear: true})
			if err == nil && missing {
				err = fmt.Errorf("tensor %q is missing, but target_modules picks its layer", hf.PEFTPrefix+name(mod.Name)+".lora_A.weight")
			}
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		p, err := ranked(r.rules, mod, path)
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
