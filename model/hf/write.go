package hf

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// NamedTensor is one tensor to be written: row-major Data of Shape, stored as
// DType (F32, F16 or BF16, rounded to nearest even).
type NamedTensor struct {
	Name  string
	Shape []int
	DType string
	Data  []float32
}

func (t NamedTensor) bytes() int64 { return int64(len(t.Data)) * dtypeSize[t.DType] }

func checkTensors(tensors []NamedTensor) error {
	seen := map[string]bool{}
	for _, t := range tensors {
		switch {
		case t.Name == "" || t.Name == "__metadata__":
			return fmt.Errorf("tensor name %q cannot be stored", t.Name)
		case seen[t.Name]:
			return fmt.Errorf("tensor %q: name given twice", t.Name)
		case t.DType != "F32" && t.DType != "F16" && t.DType != "BF16":
			return fmt.Errorf("tensor %q: dtype %q cannot be written, use F32, F16 or BF16", t.Name, t.DType)
		}
		seen[t.Name] = true
		for _, d := range t.Shape {
			if d < 0 {
				return fmt.Errorf("tensor %q: negative dimension in shape %v", t.Name, t.Shape)
			}
		}
		if n := (TensorInfo{Shape: t.Shape}).Elements(); n != len(t.Data) {
			return fmt.Errorf("tensor %q: shape %v has %d elements, data %d", t.Name, t.Shape, n, len(t.Data))
		}
	}
	return nil
}

// WriteSafetensors writes one safetensors file atomically: widest dtypes
// first, then by name, the layout of the reference implementation, so that
// elements stay aligned.
func WriteSafetensors(path string, tensors []NamedTensor, metadata map[string]string) error {
	if err := checkTensors(tensors); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	list := append([]NamedTensor(nil), tensors...)
	sort.Slice(list, func(i, j int) bool {
		a, b := dtypeSize[list[i].DType], dtypeSize[list[j].DType]
		if a != b {
			return a > b
		}
		return list[i].Name < list[j].Name
	})
	head, err := encodeHeader(list, metadata)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	err = writeAtomic(path, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		buf := make([]byte, 1<<18)
		for _, t := range list {
			if err := writeData(w, t, buf); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// encodeHeader makes the length and the JSON, padded so the data is 8-aligned.
func encodeHeader(list []NamedTensor, metadata map[string]string) ([]byte, error) {
	type info struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	obj := make(map[string]any, len(list)+1)
	if len(metadata) > 0 {
		obj["__metadata__"] = metadata
	}
	var at int64
	for _, t := range list {
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		end := at + t.bytes()
		obj[t.Name] = info{t.DType, shape, [2]int64{at, end}}
		at = end
	}
	js, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	for len(js)%8 != 0 {
		js = append(js, ' ')
	}
	if len(js) > maxHeader {
		return nil, fmt.Errorf("header of %d bytes exceeds %d", len(js), maxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(js))), js...), nil
}

// writeData streams one tensor through buf.
func writeData(w io.Writer, t NamedTensor, buf []byte) error {
	size := int(dtypeSize[t.DType])
	for data := t.Data; len(data) > 0; {
		n := min(len(data), len(buf)/size)
		encodeF32(buf, data[:n], t.DType)
		if _, err := w.Write(buf[:n*size]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// WriteWeights writes the tensors of a model folder: model.safetensors, or
// shards of at most maxShardBytes of data with an index when one file would be
// larger (a single tensor may exceed it; 0 means never shard). Weight files of
// an earlier call that no longer belong are removed at the end. Each file is
// replaced atomically; a set of shards is not, so write to a fresh folder when
// a crash must not mix two models.
func WriteWeights(dir string, tensors []NamedTensor, maxShardBytes int64) error {
	if err := checkTensors(tensors); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	stale, err := weightFiles(dir)
	if err != nil {
		return err
	}
	meta := map[string]string{"format": "pt"}
	groups, total := shard(tensors, maxShardBytes)
	if len(groups) <= 1 {
		if err := WriteSafetensors(filepath.Join(dir, singleName), tensors, meta); err != nil {
			return err
		}
		delete(stale, singleName)
		return removeFiles(dir, stale)
	}
	weightMap := map[string]string{}
	for i, g := range groups {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(groups))
		if err := WriteSafetensors(filepath.Join(dir, name), g, meta); err != nil {
			return err
		}
		delete(stale, name)
		for _, t := range g {
			weightMap[t.Name] = name
		}
	}
	index := map[string]any{"metadata": map[string]int64{"total_size": total}, "weight_map": weightMap}
	if err := writeJSON(filepath.Join(dir, indexName), index); err != nil {
		return err
	}
	delete(stale, indexName)
	return removeFiles(dir, stale)
}

// shard groups tensors in the given order, closing a group before it exceeds limit.
func shard(tensors []NamedTensor, limit int64) (groups [][]NamedTensor, total int64) {
	var cur []NamedTensor
	var size int64
	for _, t := range tensors {
		if limit > 0 && len(cur) > 0 && size+t.bytes() > limit {
			groups = append(groups, cur)
			cur, size = nil, 0
		}
		cur = append(cur, t)
		size += t.bytes()
		total += t.bytes()
	}
	if len(cur) > 0 {
		groups = append(groups, cur)
	}
	return groups, total
}

// weightFiles finds the weight files a former write left in dir: a leftover
// model.safetensors would be loaded instead of new shards.
func weightFiles(dir string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, pattern := range []string{singleName, indexName, "model-[0-9]*-of-[0-9]*.safetensors"} {
		paths, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		for _, p := range paths {
			found[filepath.Base(p)] = true
		}
	}
	return found, nil
}

// escapeGlob keeps a folder name literal inside a pattern.
func escapeGlob(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return string(out)
}

func removeFiles(dir string, names map[string]bool) error {
	if len(names) == 0 {
		return nil
	}
	for n := range names {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(dir)
}
