package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync/atomic"

	"vgid/model/kit/plainjson"
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Weights are the tensors of a model folder, over one file or many shards.
// Its methods may be called from several goroutines. The files stay mapped until
// everyone who holds the weights has closed them.
// where and names have the same members, which are those of all files together.
type Weights struct {
	users atomic.Int32 // who opened them, and one for each Share

	files []*Safetensors
	where map[string]*Safetensors
	names []string
}

// OpenWeights opens model.safetensors in dir or, when there is none, the
// shards named by model.safetensors.index.json: the order transformers uses.
func OpenWeights(dir string) (*Weights, error) {
	weightMap, err := findWeights(dir)
	switch {
	case err != nil:
		return nil, err
	case weightMap == nil:
		return OpenFile(filepath.Join(dir, singleName))
	}
	return openShards(dir, filepath.Join(dir, indexName), weightMap)
}

// WeightFiles names the files of dir that OpenWeights reads, the index of shards
// among them. Shards need not be there.
func WeightFiles(dir string) ([]string, error) {
	weightMap, err := findWeights(dir)
	switch {
	case err != nil:
		return nil, err
	case weightMap == nil:
		return []string{singleName}, nil
	}
	shards, _, err := shardNames(filepath.Join(dir, indexName), weightMap)
	return append([]string{indexName}, shards...), err
}

// findWeights gives the tensor → shard file map of dir's index, nil where all
// are in one file.
func findWeights(dir string) (map[string]string, error) {
	if _, err := os.Stat(filepath.Join(dir, singleName)); err == nil {
		return nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	weightMap, err := readIndex(filepath.Join(dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noWeights(dir)
	}
	return weightMap, err
}

// newWeights are held by the one who asked for them.
func newWeights() *Weights {
	w := &Weights{where: map[string]*Safetensors{}}
	w.users.Store(1)
	return w
}

// OpenFile presents one safetensors file as Weights.
func OpenFile(path string) (*Weights, error) {
	f, err := OpenSafetensors(path)
	if err != nil {
		return nil, err
	}
	w := newWeights()
	w.add(f)
	return w, nil
}

// readIndex reads the tensor → shard file map of an index.
func readIndex(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var idx struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := plainjson.Unmarshal(b, &idx); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(idx.WeightMap) == 0 {
		return nil, fmt.Errorf("%s: weight_map is missing or empty", path)
	}
	return idx.WeightMap, nil
}

// shardNames lists the shards of an index, sorted, and a tensor of each.
func shardNames(index string, weightMap map[string]string) (shards []string, tensorOf map[string]string, err error) {
	tensorOf = map[string]string{}
	for t, s := range weightMap {
		// A shard is a file beside the index: a path would let the index name any file.
		if s == "" || s != filepath.Base(s) || s == "." || s == ".." {
			return nil, nil, fmt.Errorf("%s: tensor %q: shard name %q is not a plain file name", index, t, s)
		}
		if old, ok := tensorOf[s]; !ok {
			shards = append(shards, s)
			tensorOf[s] = t
		} else if t < old {
			tensorOf[s] = t
		}
	}
	sort.Strings(shards)
	return shards, tensorOf, nil
}

// openShards opens the shards of an index and holds the two against each other: each
// tensor is in the shard that the index says, and in one only. Tensors that the index
// does not name are read as well.
func openShards(dir, index string, weightMap map[string]string) (*Weights, error) {
	shards, tensorOf, err := shardNames(index, weightMap)
	if err != nil {
		return nil, err
	}
	w := newWeights()
	for _, s := range shards {
		f, err := OpenSafetensors(filepath.Join(dir, s))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: shard %s is missing (it holds tensor %q); fetch it, too", index, s, tensorOf[s])
		}
		if err == nil {
			err = w.checkShard(f, index, s, weightMap)
		}
		if err != nil {
			return nil, joinErr(err, w.Close())
		}
	}
	for t, s := range weightMap {
		if _, ok := w.where[t]; !ok {
			return nil, joinErr(fmt.Errorf("%s: tensor %q is not in its shard %s", index, t, s), w.Close())
		}
	}
	return w, nil
}

// checkShard adds f after checking that the index places its tensors there.
func (w *Weights) checkShard(f *Safetensors, index, shard string, weightMap map[string]string) error {
	for _, t := range f.Names() {
		if s, ok := weightMap[t]; ok && s != shard {
			return joinErr(fmt.Errorf("%s: tensor %q is in %s, the index says %s", index, t, shard, s), f.Close())
		}
		if _, twice := w.where[t]; twice {
			return joinErr(fmt.Errorf("%s: tensor %q is in two shards", index, t), f.Close())
		}
	}
	w.add(f)
	return nil
}

// add takes in a file whose names are checked.
func (w *Weights) add(f *Safetensors) {
	w.files = append(w.files, f)
	for _, t := range f.Names() {
		w.where[t] = f
		w.names = append(w.names, t)
	}
	sort.Strings(w.names)
}

// ShardNames is a weight file and the tensors in it.
type ShardNames struct {
	File  string
	Names []string // sorted
}

// Layout tells which tensors are in which file.
func (w *Weights) Layout() []ShardNames {
	var out []ShardNames
	for _, f := range w.files {
		out = append(out, ShardNames{filepath.Base(f.path), f.names})
	}
	return out
}

// Metadata is that of the first file.
func (w *Weights) Metadata() map[string]string { return w.files[0].Metadata() }

// Names lists the tensors of all shards, sorted. The slice is shared.
func (w *Weights) Names() []string { return w.names }

// Info describes a tensor and reports whether it exists.
func (w *Weights) Info(name string) (TensorInfo, bool) {
	f, ok := w.where[name]
	if !ok {
		return TensorInfo{}, false
	}
	return f.Info(name)
}

// file is where a tensor is.
func (w *Weights) file(name string) (*Safetensors, error) {
	if f, ok := w.where[name]; ok {
		return f, nil
	}
	return nil, fmt.Errorf("%s: no tensor %q", filepath.Dir(w.files[0].path), name)
}

// Raw gives the stored bytes of a tensor; see Safetensors.Raw.
func (w *Weights) Raw(name string) ([]byte, error) {
	f, err := w.file(name)
	if err != nil {
		return nil, err
	}
	return f.Raw(name)
}

// ReadF32 converts a tensor to float32; see Safetensors.ReadF32.
func (w *Weights) ReadF32(name string, dst []float32) error {
	f, err := w.file(name)
	if err != nil {
		return err
	}
	return f.ReadF32(name, dst)
}

// ReadRows converts rows of a tensor to float32; see Safetensors.ReadRows.
func (w *Weights) ReadRows(name string, dst []float32, row int) error {
	f, err := w.file(name)
	if err != nil {
		return err
	}
	return f.ReadRows(name, dst, row)
}

// Span is the stored bytes of tensors that follow each other in one file in
// this order, nil when they do not; see Safetensors.Raw.
// It is for tensors that one operation reads as one matrix.
func (w *Weights) Span(names ...string) []byte {
	if len(names) == 0 || w.where[names[0]] == nil {
		return nil
	}
	return w.where[names[0]].span(names)
}

// Share gives the weights to one more user, who closes them, too. The caller
// holds them.
// Users close what they hold in any order.
func (w *Weights) Share() *Weights {
	w.users.Add(1)
	return w
}

// Close lets go of the weights. The last of their users unmaps the files.
func (w *Weights) Close() error {
	if w.users.Add(-1) > 0 {
		return nil
	}
	var first error
	for _, f := range w.files {
		first = joinErr(first, f.Close())
	}
	return first
}
