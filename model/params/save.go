package params

import (
	"fmt"
	"os"
	"path/filepath"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/hf"
	"vgid/model/kit/safefile"
	"vgid/model/tape"
)

// SaveOptions say how weights are written.
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

// FileDType is the type of o as files name it, float32's where none is said.
func (o SaveOptions) FileDType() (string, error) {
	if o.DType == "" {
		return "F32", nil
	}
	dt, ok := fileDTypes[o.DType]
	if !ok {
		return "", fmt.Errorf("dtype %q cannot be written; use float32, bfloat16 or float16", o.DType)
	}
	return dt, nil
}

// Save writes config.json, generation_config.json and the weights to dir, which
// it makes when it does not exist, under the names of the files they came from.
// branch gives the low-rank branch that is added to what is written of a matrix,
// nil where there is none. Tensors are made one after the other, so little memory is needed.
// Every file appears whole or not at all, config.json last.
func (s *Set) Save(dir string, o SaveOptions, branch func(*Weight) *tape.LoRA) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out := &saver{set: s, o: o, branch: branch}
	defer out.close()
	if err := hf.WriteShards(dir, out.shards()); err != nil {
		return err
	}
	return s.SaveConfig(dir, o)
}

// SaveConfig writes the two config files: those the model came from with
// another dtype, or new ones.
func (s *Set) SaveConfig(dir string, o SaveOptions) error {
	if s.source != nil {
		if err := hf.CopyFile(dir, s.source.dir, "generation_config.json"); err != nil {
			return err
		}
		return hf.CopyConfig(dir, s.source.dir, o.DType)
	}
	c := *s.Config
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
// One tensor is made at a time, so that one scratch buffer serves all.
type saver struct {
	set     *Set
	o       SaveOptions
	branch  func(*Weight) *tape.LoRA
	scratch backend.Buffer // rows of a merged matrix
}

func (out *saver) close() {
	if out.scratch != nil {
		out.set.be.Free(out.scratch)
	}
}

// shards are the tensors in their files.
func (out *saver) shards() []hf.Shard {
	byFile := map[string]*Weight{}
	var all []hf.Stream
	for _, w := range out.set.Weights {
		if w.Branch != 0 {
			continue
		}
		all = append(all, out.stream(w))
		byFile[w.file] = w
	}
	if out.set.source == nil {
		return hf.Shards(all, out.o.MaxShardBytes)
	}
	all = all[:0]
	var shards []hf.Shard
	for _, f := range out.set.source.files.Layout() {
		shard := hf.Shard{File: f.File}
		for _, name := range f.Names {
			if w := byFile[name]; w != nil {
				shard.Tensors = append(shard.Tensors, out.stream(w))
			} else if derived(name) { // the copy of a tied head may have become another
				shard.Tensors = append(shard.Tensors, out.stored(name))
			}
		}
		// A shard of nothing but a tied head's copy is left out.
		if shards = append(shards, shard); len(shard.Tensors) == 0 {
			shards = shards[:len(shards)-1]
		}
		all = append(all, shard.Tensors...)
	}
	if out.o.MaxShardBytes > 0 {
		return hf.Shards(all, out.o.MaxShardBytes)
	}
	return shards
}

// stored is a tensor as it lies in the files.
func (out *saver) stored(name string) hf.Stream {
	files := out.set.source.files
	info, _ := files.Info(name)
	return hf.Stream{Name: name, TensorInfo: info, Raw: func() ([]byte, error) { return files.Raw(name) }}
}

// stream is a weight with its branch, or its stored bytes when nothing changes.
func (out *saver) stream(w *Weight) hf.Stream {
	t := hf.Stream{Name: w.Name, TensorInfo: hf.TensorInfo{DType: "F32", Shape: w.Shape}}
	lo := out.branch(w)
	if w.file != "" && out.set.source != nil {
		same := out.stored(w.file)
		t.Name, t.DType = same.Name, same.DType
		if dt := fileDTypes[out.o.DType]; w.pristine && lo == nil && (dt == "" || dt == same.DType) {
			return same
		}
	}
	if dt := fileDTypes[out.o.DType]; dt != "" {
		t.DType = dt
	}
	switch {
	case lo != nil:
		t.Rows = func(dst []float32, from int) error { return out.mergedRows(w, lo, dst, from) }
	case w.Whole:
		t.Rows = func(dst []float32, from int) error {
			at := from * w.RowLen()
			return out.set.be.Download(dst, w.Value.Reshape(1, w.Value.Len()).ColRange(at, at+len(dst)))
		}
	default:
		t.Rows = func(dst []float32, from int) error { return out.set.UntrainedRows(w, dst, from) }
	}
	return t
}

// mergedRows computes rows of W + scale·B·A.
// They are rounded to the file's type by whoever writes them.
func (out *saver) mergedRows(w *Weight, lo *tape.LoRA, dst []float32, from int) error {
	cols := w.Value.Cols
	if err := out.set.UntrainedRows(w, dst, from); err != nil {
		return err
	}
	if out.scratch == nil || out.scratch.Len() < len(dst) {
		out.close()
		var err error
		if out.scratch, err = out.set.be.Alloc(backend.F32, len(dst)); err != nil {
			out.scratch = nil
			return err
		}
	}
	n := len(dst) / cols
	sum := backend.View(out.scratch, 0, n, cols)
	out.set.be.Upload(sum, dst)
	out.set.be.MatMul(sum, lo.B.Value.RowRange(from, from+n), lo.A.Value, backend.MatMul{Alpha: lo.Scale, Beta: 1})
	return out.set.be.Download(dst, sum)
}

// generationConfig is the generation_config.json that belongs to the model.
func generationConfig(c *family.Config) hf.GenerationConfig {
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
