package params

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/hf"
)

// derived reports whether files of old releases hold the tensor although it
// follows from the config.
func derived(name string) bool {
	return strings.HasSuffix(name, ".position_ids") || strings.HasSuffix(name, ".rotary_emb.inv_freq")
}

// Load gives the weights their memory and the values of the files of a folder
// of transformers 4 or 5, which the set takes over, also when it fails. On a
// backend that adopts memory the files stay mapped until Close and must not be
// changed in place. Errors name the tensor.
func (s *Set) Load(ctx context.Context, dir string, files *hf.Weights, o LoadOptions) error {
	s.source = &source{dir: dir, files: files, mapFrom: o.mapFrom()}
	l := loader{set: s, files: files, where: map[string]string{}}
	for _, name := range files.Names() {
		own := s.Config.Family.DiskName(name)
		if other, twice := l.where[own]; twice {
			return fmt.Errorf("tensors %q and %q are the same weight", other, name)
		}
		l.where[own] = name
	}
	// Before memory is asked for: a wrong config may ask for any amount.
	if err := l.fits(); err != nil {
		return err
	}
	for _, w := range s.Weights {
		info, _ := files.Info(w.file)
		if w.pristine = true; w.Decay {
			w.stored = o.stored(info.DType)
		}
	}
	lazy := func(w *Weight) bool { return o.Lazy && w.Decay }
	ws := slices.DeleteFunc(slices.Clone(s.Weights), lazy)
	var own []*Weight
	for g := range groups(ws) {
		own = append(own, s.source.adopt(&s.mem, g)...)
	}
	need, narrow := bytesOf(own)
	hint := ""
	if narrow < need {
		hint = fmt.Sprintf("; kept as bfloat16 they take %v", backend.Bytes(narrow))
	}
	if err := s.mem.preflight(need, hint); err != nil {
		return err
	}
	if err := s.mem.place(own); err != nil {
		return err
	}
	return s.source.read(ctx, s.be, own)
}

// loader checks the files of a model folder against its config.
// Every weight is found in the files before any is read, and every tensor of the files is accounted
// for.
type loader struct {
	set   *Set
	files *hf.Weights
	where map[string]string // the files' names by ours
}

// fits checks that the files hold the model's weights and no others, and notes
// which tensor is whose.
func (l *loader) fits() error {
	s, files, known := l.set, l.files, map[string]bool{}
	if name := hf.QuantisedTensor(files.Names()); name != "" {
		return fmt.Errorf("tensor %q belongs to a quantised layer, which is not implemented, though config.json has no quantization_config; use the model it was made from", name)
	}
	for _, w := range s.Weights {
		name, ok := l.where[w.Name]
		if !ok && w == s.Tied() { // a head alone stands for both in transformers, too
			name, ok = l.where[s.Config.Family.HeadName()]
		}
		if !ok && w.Name == s.Config.Family.HeadName() { // transformers would draw a random one
			return fmt.Errorf("tensor %q is missing, and config.json does not set tie_word_embeddings to true, which would take the embedding for it; set it if that is what the model was trained with", w.Name)
		}
		if !ok {
			return l.missing(w.Name, files.Names())
		}
		w.file, known[name] = name, true
		info, _ := files.Info(name)
		if info.Elements() == 0 {
			return Emptied(name)
		}
		if !slices.Equal(info.Shape, w.Shape) {
			return fmt.Errorf("tensor %q has shape %v, config.json asks for %v", name, info.Shape, w.Shape)
		}
		if !slices.Contains([]string{"F32", "BF16", "F16"}, info.DType) {
			return fmt.Errorf("tensor %q has dtype %s, which is not implemented; use a model in float32, bfloat16 or float16", name, info.DType)
		}
	}
	for _, name := range files.Names() {
		if !known[name] && !derived(name) && !(s.Config.Text.TieEmbeddings && s.Config.Family.DiskName(name) == s.Config.Family.HeadName()) {
			return fmt.Errorf("tensor %q is no part of the model that config.json describes", name)
		}
	}
	return l.fitsTie()
}

// fitsTie refuses a head of its own where the config ties it to the embedding:
// transformers 5 takes the head then, transformers 4 the embedding. A copy of
// the embedding is welcome.
func (l *loader) fitsTie() error {
	s := l.set
	head, ok := l.where[s.Config.Family.HeadName()]
	if !ok || !s.Config.Text.TieEmbeddings {
		return nil
	}
	for _, w := range s.Weights {
		if w.Param != s.text.Head {
			continue
		}
		// By bytes: a copy in another type is not taken for one.
		a, err := l.files.Raw(head)
		if err != nil {
			return err
		}
		b, err := l.files.Raw(w.file)
		if err == nil && !bytes.Equal(a, b) {
			err = fmt.Errorf("tensor %q differs from %q, to which config.json ties it: set tie_word_embeddings to false, or take the tensor out", head, w.file)
		}
		return err
	}
	return nil
}

// Emptied refuses a tensor without elements: what a training that splits the
// weights over processes saves where it does not gather them first.
func Emptied(tensor string) error {
	return fmt.Errorf("tensor %q is empty, as DeepSpeed ZeRO-3 or FSDP save it when the parts are not gathered; save it again with the whole weights (zero_to_fp32.py, FULL_STATE_DICT)", tensor)
}
