package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Shard is a weight file of a folder with its tensors.
// File is its name in the folder, Tensors are in the order of the caller.
type Shard struct {
	File    string
	Tensors []Stream
}

// Shards distributes tensors, in the given order, over model.safetensors or,
// when that would be larger than maxBytes of data, over files that are not; a
// single tensor may be (0 means one file). The names are those of transformers.
func Shards(tensors []Stream, maxBytes int64) []Shard {
	var groups []Shard
	var size int64
	for _, t := range tensors {
		if n := len(groups); n == 0 || maxBytes > 0 && len(groups[n-1].Tensors) > 0 && size+t.Bytes() > maxBytes {
			groups, size = append(groups, Shard{}), 0
		}
		g := &groups[len(groups)-1]
		g.Tensors = append(g.Tensors, t)
		size += t.Bytes()
	}
	if len(groups) <= 1 {
		return []Shard{{singleName, tensors}}
	}
	for i := range groups {
		groups[i].File = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(groups))
	}
	return groups
}

// WriteWeights writes the tensors of a model folder; see Shards and
// WriteShards.
func WriteWeights(dir string, tensors []NamedTensor, maxShardBytes int64) error {
	list, err := streams(tensors)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return WriteShards(dir, Shards(list, maxShardBytes))
}

// WriteShards writes the weight files of a model folder, with an index unless
// there is one file called model.safetensors. Weight files of an earlier call
// that no longer belong are removed at the end. Each file is replaced
// atomically; a set of shards is not, so write to a fresh folder when a crash
// must not mix two models.
func WriteShards(dir string, shards []Shard) error {
	var all []Stream
	for _, s := range shards {
		all = append(all, s.Tensors...)
	}
	if err := checkStreams(all); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	// What an earlier call left is told before anything is written, and removed when
	// all is: a crash between leaves too much, not too little.
	stale, err := weightFiles(dir)
	if err != nil {
		return err
	}
	var total int64
	weightMap := map[string]string{}
	for _, s := range shards {
		if err := WriteStreams(filepath.Join(dir, s.File), s.Tensors, map[string]string{"format": "pt"}); err != nil {
			return err
		}
		delete(stale, s.File)
		for _, t := range s.Tensors {
			weightMap[t.Name] = s.File
			total += t.Bytes()
		}
	}
	if len(shards) != 1 || shards[0].File != singleName {
		index := map[string]any{"metadata": map[string]int64{"total_size": total}, "weight_map": weightMap}
		if err := WriteJSON(filepath.Join(dir, indexName), index); err != nil {
			return err
		}
		delete(stale, indexName)
	}
	return removeFiles(dir, stale)
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

// removeFiles removes files of a folder for good.
// It syncs the folder, as a name that came back after a crash would be loaded.
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
