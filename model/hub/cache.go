package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vgid/model/kit/safefile"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// repo is a model's folder in the cache:
//
//	models--ORG--NAME/refs/main                a commit
//	models--ORG--NAME/snapshots/COMMIT/FILE    a link to ../../blobs/ETAG
//	models--ORG--NAME/blobs/ETAG               the contents
//	.locks/models--ORG--NAME/ETAG.lock         held while a blob is fetched
//
// refs and snapshots are huggingface_hub's, which reads what is written here and writes what is
// read.
type repo struct{ dir, locks, name string }

// repo is the folder of a model, named as huggingface_hub names it.
func (c *Client) repo(name string) repo {
	folder := "models--" + strings.ReplaceAll(name, "/", "--")
	return repo{filepath.Join(c.Cache, folder), filepath.Join(c.Cache, ".locks", folder), name}
}

// blob is where a file's contents are, or will be; snapshot the folder that a model is loaded
// from.
func (r repo) blob(etag string) string { return filepath.Join(r.dir, "blobs", etag) }

func (r repo) snapshot(commit string) string { return filepath.Join(r.dir, "snapshots", commit) }

// cached finds a revision that is whole: its configuration and its weights, or
// its tokenizer.
func (r repo) cached(revision string, part Part) (string, error) {
	commit := revision
	if !isCommit(revision) {
		b, err := os.ReadFile(filepath.Join(r.dir, "refs", filepath.FromSlash(revision)))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s@%s is not in the cache (%s)", r.name, revision, r.dir)
		}
		if err != nil {
			return "", err
		}
		commit = strings.TrimSpace(string(b))
		if !isCommit(commit) {
			return "", fmt.Errorf("%s does not hold a commit", filepath.Join(r.dir, "refs", revision))
		}
	}
	dir := r.snapshot(commit)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("%s@%s is not in the cache (%s)", r.name, revision, dir)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name())); err == nil { // not a link to nowhere
			names = append(names, e.Name())
		}
	}
	if missing := part.missing(names); missing != "" {
		return "", fmt.Errorf("%s is incomplete: it has no %s", dir, missing)
	}
	if part == Tokenizer {
		return dir, nil
	}
	var index []byte
	if slices.Contains(names, indexFile) {
		if index, err = os.ReadFile(filepath.Join(dir, indexFile)); err != nil {
			return "", err
		}
	}
	weights, err := weightFiles(names, index)
	if err != nil {
		return "", fmt.Errorf("%s is incomplete: %w", dir, err)
	}
	for _, w := range weights {
		if !slices.Contains(names, w) {
			return "", fmt.Errorf("%s is incomplete: %s is missing", dir, w)
		}
	}
	return dir, nil
}

// link puts a blob into a snapshot.
// The link is made anew under another name and renamed, so that a reader finds the old or the new
// one.
func (r repo) link(commit, name, etag string) error {
	// Relative, so that the cache can be moved; huggingface_hub links so as well.
	target, path := filepath.Join("..", "..", "blobs", etag), filepath.Join(r.snapshot(commit), name)
	if err := os.Symlink(target, path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	return renameio.Symlink(target, path) // a copy, or a link that led elsewhere
}

// setRef remembers the commit of a branch or tag.
// A commit needs no ref: it is its own name.
func (r repo) setRef(revision, commit string) error {
	if isCommit(revision) {
		return nil
	}
	path := filepath.Join(r.dir, "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return safefile.WriteBytes(path, []byte(commit))
}

// lock waits for the right to fetch a blob, which huggingface_hub respects too.
// waiting is called once when another process has it.
// The lock is the process's and falls with it, so that a killed one leaves none behind.
func (r repo) lock(ctx context.Context, etag string, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(r.locks, 0o755); err != nil {
		return nil, err
	}
	// Others who share the cache, perhaps of the same group, lock the same files.
	l := flock.New(filepath.Join(r.locks, etag+".lock"), flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o664))
	held, err := l.TryLock()
	if err == nil && !held {
		waiting()
		held, err = l.TryLockContext(ctx, 100*time.Millisecond)
	}
	switch {
	case held:
		return func() { _ = l.Close() }, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
}

// missing is the file that none of names is and without which there is no model,
// or no tokenizer.
// An adapter's folder is a model, too, with the config of its own name.
func (p Part) missing(names []string) string {
	switch {
	case p == Tokenizer && !slices.Contains(names, "tokenizer.json"):
		return "tokenizer.json"
	case p == Whole && !slices.Contains(names, "config.json") && !slices.Contains(names, "adapter_config.json"):
		return "config.json"
	}
	return ""
}

// indexFile names the shards of weights that are in several files.
const indexFile = "model.safetensors.index.json"

// weightFiles chooses the weights among a folder's files: the shards the index
// names, or the one file there is.
// Safetensors alone: .bin, .pt and .pth are pickles, which run code when they are loaded.
func weightFiles(names []string, index []byte) ([]string, error) {
	if index != nil {
		var j struct {
			Map map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(index, &j); err != nil {
			return nil, fmt.Errorf("%s: %w", indexFile, err)
		}
		var out []string
		for _, shard := range j.Map {
			if !plain(shard) {
				return nil, fmt.Errorf("%s: shard %q is not a file name", indexFile, shard)
			}
			if !slices.Contains(out, shard) {
				out = append(out, shard)
			}
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("%s names no shard", indexFile)
		}
		return out, nil
	}
	for _, one := range []string{"model.safetensors", "adapter_model.safetensors"} {
		if slices.Contains(names, one) {
			return []string{one}, nil
		}
	}
	for _, n := range names {
		if e := filepath.Ext(n); e == ".bin" || e == ".pth" || e == ".pt" || e == ".gguf" {
			return nil, fmt.Errorf("its weights are %s, not safetensors: convert them with transformers (save_pretrained) and give the folder", n)
		}
	}
	return nil, errors.New("it has no weights (model.safetensors)")
}

// plain says that a name is a file in the folder itself.
// Names come from the hub or from an index, and become paths here.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}
