package model

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
)

// derived reports whether files of old releases hold the tensor although it
// follows from the config.
func derived(name string) bool {
	return strings.HasSuffix(name, ".position_ids") || strings.HasSuffix(name, ".rotary_emb.inv_freq")
}

// Load is LoadAs without options.
func Load(ctx context.Context, be backend.Backend, dir string) (*Model, error) {
	return LoadAs(ctx, be, dir, LoadOptions{})
}

// LoadAs is LoadDir of the folder at a path.
func LoadAs(ctx context.Context, be backend.Backend, dir string, o LoadOptions) (*Model, error) {
	d := modeldir.Open(dir)
	defer d.Close()
	return LoadDir(ctx, be, d, o)
}

// LoadDir reads a model folder of transformers 4 or 5. On a backend that adopts
// memory the files stay mapped until Close, also when the folder is closed before,
// and must not be changed in place. Errors name the file and tensor.
func LoadDir(ctx context.Context, be backend.Backend, d *modeldir.Dir, o LoadOptions) (*Model, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c, err := ConfigOf(d)
	if err != nil {
		return nil, err
	}
	files, err := d.Weights()
	if err != nil {
		return nil, err
	}
	m, err := fromFiles(ctx, be, c, &source{dir: d.Path(), files: files}, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Path(), err)
	}
	return m, nil
}

// fromFiles makes the model that c describes of the tensors of src, which it
// takes over.
func fromFiles(ctx context.Context, be backend.Backend, c *Config, src *source, o LoadOptions) (*Model, error) {
	family := c.Family
	where := map[string]string{}
	for _, name := range src.files.Names() {
		if other, twice := where[family.DiskName(name)]; twice {
			src.files.Close()
			return nil, fmt.Errorf("tensors %q and %q are the same weight", other, name)
		}
		where[family.DiskName(name)] = name
	}
	m, err := assemble(be, c)
	if err != nil {
		src.files.Close()
		return nil, err
	}
	m.source = src
	// Before memory is asked for: a wrong config may ask for any amount.
	err = m.fits(where)
	lazy := func(w *weight) bool { return o.Lazy && w.Decay }
	if err == nil {
		for _, w := range m.weights {
			info, _ := src.files.Info(w.file)
			if w.pristine = true; w.Decay {
				w.stored = o.stored(info.DType)
			}
		}
		err = m.fetch(ctx, slices.DeleteFunc(slices.Clone(m.weights), lazy))
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// fits checks that the files hold the model's weights, by our names in where,
// and no others.
func (m *Model) fits(where map[string]string) error {
	files, known := m.source.files, map[string]bool{}
	if name := hf.QuantisedTensor(files.Names()); name != "" {
		return fmt.Errorf("tensor %q belongs to a quantised layer, which is not implemented, though config.json has no quantization_config; use the model it was made from", name)
	}
	for _, w := range m.weights {
		name, ok := where[w.Name]
		if !ok && w == m.shared() { // a head alone stands for both in transformers, too
			name, ok = where[m.Config.Family.HeadName()]
		}
		if !ok && w.Name == m.Config.Family.HeadName() { // transformers would draw a random one
			return fmt.Errorf("tensor %q is missing, and config.json does not set tie_word_embeddings to true, which would take the embedding for it; set it if that is what the model was trained with", w.Name)
		}
		if !ok {
			return m.missing(w.Name, files.Names())
		}
		w.file, known[name] = name, true
		info, _ := files.Info(name)
		if info.Elements() == 0 {
			return emptied(name)
		}
		if !slices.Equal(info.Shape, w.Shape) {
			return fmt.Errorf("tensor %q has shape %v, config.json asks for %v", name, info.Shape, w.Shape)
		}
		if !slices.Contains([]string{"F32", "BF16", "F16"}, info.DType) {
			return fmt.Errorf("tensor %q has dtype %s, which is not implemented; use a model in float32, bfloat16 or float16", name, info.DType)
		}
	}
	for _, name := range files.Names() {
		if !known[name] && !derived(name) && !(m.Config.Text.TieEmbeddings && m.Config.Family.DiskName(name) == m.Config.Family.HeadName()) {
			return fmt.Errorf("tensor %q is no part of the model that config.json describes", name)
		}
	}
	return m.fitsTie(where)
}

// fitsTie refuses a head of its own where the config ties it to the embedding:
// transformers 5 takes the head then, transformers 4 the embedding. A copy of
// the embedding is welcome.
func (m *Model) fitsTie(where map[string]string) error {
	head, ok := where[m.Config.Family.HeadName()]
	if !ok || !m.Config.Text.TieEmbeddings {
		return nil
	}
	for _, w := range m.weights {
		if w.Param != m.text.Head {
			continue
		}
		a, err := m.source.files.Raw(head)
		if err != nil {
			return err
		}
		b, err := m.source.files.Raw(w.file)
		if err == nil && !bytes.Equal(a, b) {
			err = fmt.Errorf("tensor %q differs from %q, to which config.json ties it: set tie_word_embeddings to false, or take the tensor out", head, w.file)
		}
		return err
	}
	return nil
}

// emptied refuses a tensor without elements: what a training that splits the
// weights over processes saves where it does not gather them first.
func emptied(tensor string) error {
	return fmt.Errorf("tensor %q is empty, as DeepSpeed ZeRO-3 or FSDP save it when the parts are not gathered; save it again with the whole weights (zero_to_fp32.py, FULL_STATE_DICT)", tensor)
}
