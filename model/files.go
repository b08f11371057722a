package model

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"vgid/model/backend"
	"vgid/model/hf"
)

// derived reports whether files of old releases hold the tensor although it
// follows from the config.
func derived(name string) bool {
	return strings.HasSuffix(name, ".position_ids") || strings.HasSuffix(name, ".rotary_emb.inv_freq")
}

// Load reads a model folder of transformers 4 or 5. Weights become F32 on the
// device. Errors name the file and tensor.
func Load(ctx context.Context, be backend.Backend, dir string) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	files, err := hf.OpenWeights(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	family := c.family()
	where := map[string]string{}
	for _, name := range files.Names() {
		if other, twice := where[family.diskName(name)]; twice {
			return nil, fmt.Errorf("%s: tensors %q and %q are the same weight", dir, other, name)
		}
		where[family.diskName(name)] = name
	}
	if _, ok := where[family.headName()]; !ok {
		c.Text.TieEmbeddings = true
	}
	m, err := assemble(be, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	// Before memory is asked for: a wrong config may ask for any amount.
	err = m.fits(files, where)
	if err == nil {
		err = m.place(m.weights)
	}
	if err == nil {
		err = m.read(ctx, files, where)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// fits checks that the files hold the model's weights and no others.
func (m *Model) fits(files *hf.Weights, where map[string]string) error {
	known := map[string]bool{}
	for _, w := range m.weights {
		name, ok := where[w.Name]
		if !ok {
			return fmt.Errorf("tensor %q is missing", w.Name)
		}
		known[name] = true
		if info, _ := files.Info(name); !slices.Equal(info.Shape, w.shape) {
			return fmt.Errorf("tensor %q has shape %v, config.json asks for %v", name, info.Shape, w.shape)
		}
	}
	for _, name := range files.Names() {
		if !known[name] && !derived(name) && !(m.Config.Text.TieEmbeddings && m.family.diskName(name) == m.family.headName()) {
			return fmt.Errorf("tensor %q is no part of the model that config.json describes", name)
		}
	}
	return nil
}

// read fills the weights from the tensors where names.
func (m *Model) read(ctx context.Context, files *hf.Weights, where map[string]string) error {
	var host []float32
	for _, w := range m.weights {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := w.Value.Len()
		host = slices.Grow(host[:0], n)[:n]
		if err := files.ReadF32(where[w.Name], host); err != nil {
			return err
		}
		m.be.Upload(w.Value, host)
	}
	return m.be.Sync()
}

// SaveOptions belong to Model.Save.
type SaveOptions struct {
	DType         string // "float32", "bfloat16" or "float16"; empty means float32
	MaxShardBytes int64  // 0 means one file
}

var fileDTypes = map[string]string{"": "F32", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}

// Save writes config.json, generation_config.json and the weights to dir,
// which it makes when it does not exist. Every file appears whole or not at
// all, config.json last. A model with an adapter is refused: merge it, or use
// SaveAdapter.
func (m *Model) Save(dir string, o SaveOptions) error {
	dt, ok := fileDTypes[o.DType]
	if !ok {
		return fmt.Errorf("dtype %q cannot be written; use float32, bfloat16 or float16", o.DType)
	}
	if m.adapter != nil {
		return fmt.Errorf("%s: the model has an adapter; merge it first or save the adapter", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tensors, err := m.tensors(dt, func(w *weight) string { return w.Name })
	if err != nil {
		return err
	}
	if err := hf.WriteWeights(dir, tensors, o.MaxShardBytes); err != nil {
		return err
	}
	c := *m.Config
	if c.DType = o.DType; c.DType == "" {
		c.DType = "float32"
	}
	if err := hf.WriteGenerationConfig(dir, c.generation()); err != nil {
		return err
	}
	b, err := c.JSON()
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
}

// tensors downloads the weights that name gives a name.
func (m *Model) tensors(dtype string, name func(*weight) string) ([]hf.NamedTensor, error) {
	var out []hf.NamedTensor
	for _, w := range m.weights {
		n := name(w)
		if n == "" {
			continue
		}
		data := make([]float32, w.Value.Len())
		if err := m.be.Download(data, w.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		out = append(out, hf.NamedTensor{Name: n, Shape: w.shape, DType: dtype, Data: data})
	}
	return out, nil
}

// generation is the generation_config.json that belongs to the model.
func (c *Config) generation() hf.GenerationConfig {
	var g hf.GenerationConfig
	id := func(n int) *int32 {
		if n < 0 {
			return nil
		}
		v := int32(n)
		return &v
	}
	g.BOS, g.Pad = id(c.BOSTokenID), id(c.PadTokenID)
	for _, e := range c.EOSTokenID {
		g.EOS = append(g.EOS, int32(e))
	}
	return g
}
