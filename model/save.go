package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/safefile"
	"vgid/model/tape"
)

// SaveOptions belong to Model.Save.
type SaveOptions struct {
	// DType is "float32", "bfloat16" or "float16"; empty means that of each
	// tensor in the files the model came from, or float32.
	DType string
	// MaxShardBytes bounds a file, when positive. Otherwise tensors are
	// distributed as in the files the model came from, or all in one.
	MaxShardBytes int64
	// Merge adds the adapter to what is written, not to the model.
	Merge bool
}

var fileDTypes = map[string]string{"float32": "F32", "bfloat16": "BF16", "float16": "F16"}

// fileDType is the type of o as files name it, float32's where none is said.
func (o SaveOptions) fileDType() (string, error) {
	if o.DType == "" {
		return "F32", nil
	}
	dt, ok := fileDTypes[o.DType]
	if !ok {
		return "", fmt.Errorf("dtype %q cannot be written; use float32, bfloat16 or float16", o.DType)
	}
	return dt, nil
}

// Save writes config.json, generation_config.json and the weights to dir,
// which it makes when it does not exist, under the names of the files the model
// came from. Tensors are made one after the other, so little memory is needed.
// Every file appears whole or not at all, config.json last. A model with an
// adapter is refused unless it is to be merged.
func (m *Model) Save(dir string, o SaveOptions) error {
	if _, err := o.fileDType(); err != nil {
		return err
	}
	if m.adapter != nil && !o.Merge {
		return fmt.Errorf("%s: the model has an adapter; merge it or save the adapter", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out := &saver{m: m, o: o}
	defer out.close()
	if err := hf.WriteShards(dir, out.shards()); err != nil {
		return err
	}
	return m.saveConfig(dir, o)
}

// saveConfig writes the two config files: those the model came from with
// another dtype, or new ones.
func (m *Model) saveConfig(dir string, o SaveOptions) error {
	if m.source != nil {
		if err := hf.CopyFile(dir, m.source.dir, "generation_config.json"); err != nil {
			return err
		}
		return hf.CopyConfig(dir, m.source.dir, o.DType)
	}
	c := *m.Config
	if c.DType = o.DType; c.DType == "" {
		c.DType = "float32"
	}
	if err := hf.WriteGenerationConfig(dir, generationConfig(&c)); err != nil {
		return err
	}
	b, err := c.JSON()
	if err != nil {
		return err
	}
	return safefile.WriteBytes(filepath.Join(dir, "config.json"), b)
}

// saver makes the tensors of one Save.
type saver struct {
	m       *Model
	o       SaveOptions
	scratch backend.Buffer // rows of a merged matrix
}

func (s *saver) close() {
	if s.scratch != nil {
		s.m.be.Free(s.scratch)
	}
}

// shards are the tensors in their files.
func (s *saver) shards() []hf.Shard {
	m := s.m
	byFile := map[string]*weight{}
	var all []hf.Stream
	for _, w := range m.weights {
		if w.lora != 0 {
			continue
		}
		all = append(all, s.stream(w))
		byFile[w.file] = w
	}
	if m.source == nil {
		return hf.Shards(all, s.o.MaxShardBytes)
	}
	all = all[:0]
	var shards []hf.Shard
	for _, f := range m.source.files.Layout() {
		shard := hf.Shard{File: f.File}
		for _, name := range f.Names {
			if w := byFile[name]; w != nil {
				shard.Tensors = append(shard.Tensors, s.stream(w))
			} else if derived(name) { // the copy of a tied head may have become another
				shard.Tensors = append(shard.Tensors, s.stored(name))
			}
		}
		if shards = append(shards, shard); len(shard.Tensors) == 0 {
			shards = shards[:len(shards)-1]
		}
		all = append(all, shard.Tensors...)
	}
	if s.o.MaxShardBytes > 0 {
		return hf.Shards(all, s.o.MaxShardBytes)
	}
	return shards
}

// stored is a tensor as it lies in the files.
func (s *saver) stored(name string) hf.Stream {
	files := s.m.source.files
	info, _ := files.Info(name)
	return hf.Stream{Name: name, TensorInfo: info, Raw: func() ([]byte, error) { return files.Raw(name) }}
}

// stream is a weight with its branch, or its stored bytes when nothing changes.
func (s *saver) stream(w *weight) hf.Stream {
	t := hf.Stream{Name: w.Name, TensorInfo: hf.TensorInfo{DType: "F32", Shape: w.Shape}}
	lo := s.m.branch(w)
	if w.file != "" && s.m.source != nil {
		same := s.stored(w.file)
		t.Name, t.DType = same.Name, same.DType
		if dt := fileDTypes[s.o.DType]; w.pristine && lo == nil && (dt == "" || dt == same.DType) {
			return same
		}
	}
	if dt := fileDTypes[s.o.DType]; dt != "" {
		t.DType = dt
	}
	switch {
	case lo != nil:
		t.Rows = func(dst []float32, from int) error { return s.mergedRows(w, lo, dst, from) }
	case w.whole:
		t.Rows = func(dst []float32, from int) error {
			at := from * w.rowLen()
			return s.m.be.Download(dst, w.Value.Reshape(1, w.Value.Len()).ColRange(at, at+len(dst)))
		}
	default:
		t.Rows = func(dst []float32, from int) error { return s.m.untrainedRows(w, dst, from) }
	}
	return t
}

// mergedRows computes rows of W + scale·B·A.
func (s *saver) mergedRows(w *weight, lo *tape.LoRA, dst []float32, from int) error {
	m, cols := s.m, w.Value.Cols
	if err := m.untrainedRows(w, dst, from); err != nil {
		return err
	}
	if s.scratch == nil || s.scratch.Len() < len(dst) {
		s.close()
		var err error
		if s.scratch, err = m.be.Alloc(backend.F32, len(dst)); err != nil {
			s.scratch = nil
			return err
		}
	}
	n := len(dst) / cols
	sum := backend.View(s.scratch, 0, n, cols)
	m.be.Upload(sum, dst)
	m.be.MatMul(sum, lo.B.Value.RowRange(from, from+n), lo.A.Value, backend.MatMul{Alpha: lo.Scale, Beta: 1})
	return m.be.Download(dst, sum)
}

// tensors downloads the weights that name gives a name, as float32.
func (m *Model) tensors(name func(*weight) string) ([]hf.NamedTensor, error) {
	var out []hf.NamedTensor
	for _, w := range m.weights {
		n := name(w)
		if n == "" {
			continue
		}
		v := w.Value
		data := make([]float32, v.Len())
		if err := m.be.Download(data, v); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		out = append(out, hf.NamedTensor{Name: n, Shape: slices.Clone(w.Shape), DType: "F32", Data: data})
	}
	return out, nil
}

// generationConfig is the generation_config.json that belongs to the model.
func generationConfig(c *Config) hf.GenerationConfig {
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
