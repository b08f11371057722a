package origin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// folder writes files of a few bytes each.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What can change a model's answers is listed, and nothing else.
func TestModelFiles(t *testing.T) {
	rest := []string{
		"README.md", ".gitattributes", "training_args.bin", "optimizer.pt", "sub/config.json", "pytorch_model.bin.index.json",
		"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
		"preprocessor_config.json", "processor_config.json", "chat_template.jinja", "chat_template.json", "notes.json",
		"additional_chat_templates/rag.jinja", "additional_chat_templates/default.jinja", "additional_chat_templates/notes.txt",
	}
	want := []string{
		"tokenizer added_tokens.json", "chat template chat_template.jinja", "chat template chat_template.json", "config config.json",
		"config generation_config.json", "model folder notes.json", "processor preprocessor_config.json", "processor processor_config.json",
		"tokenizer special_tokens_map.json", "tokenizer tokenizer.json", "tokenizer tokenizer_config.json",
		"chat template additional_chat_templates/default.jinja", "chat template additional_chat_templates/rag.jinja",
	}
	list := func(dir string) (out []string) {
		sources, err := Model(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			if s.Path != filepath.Join(dir, s.Name) {
				t.Errorf("%s is at %s", s.Name, s.Path)
			}
			out = append(out, s.For+" "+s.Name)
		}
		return out
	}
	// One file of weights is what is read, whatever shards are left beside it.
	dir := folder(t, append(rest, "model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors")...)
	if got, w := list(dir), append([]string{"weights model.safetensors"}, want...); !slices.Equal(got, w) {
		t.Errorf("one file: %q, want %q", got, w)
	}
	dir = folder(t, append(rest, "b.safetensors", "a.safetensors", "c.safetensors")...)
	index := `{"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "gone.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, w := list(dir), append([]string{"weights model.safetensors.index.json", "weights a.safetensors", "weights b.safetensors"}, want...); !slices.Equal(got, w) {
		t.Errorf("shards: %q, want %q", got, w)
	}
	if _, err := Model(folder(t, "config.json")); err == nil {
		t.Error("a folder without weights is taken")
	}
}

func TestBelow(t *testing.T) {
	dir := folder(t, "data/a/1.parquet", "data/b", "data/.hidden/x", "data/.y", "other")
	got, err := Below(dir, filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{
		{Name: "data/a/1.parquet", Path: filepath.Join(dir, "data/a/1.parquet")}, {Name: "data/b", Path: filepath.Join(dir, "data/b")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, err := Below(dir, filepath.Join(dir, "other")); err != nil || len(got) != 1 || got[0].Name != "other" {
		t.Errorf("one file: %v, %v", got, err)
	}
}

func TestHash(t *testing.T) {
	dir := folder(t, "a")
	path := filepath.Join(dir, "a")
	sum := sha256.Sum256([]byte("a"))
	if got, err := Hash(t.Context(), path); err != nil || got != hex.EncodeToString(sum[:]) {
		t.Errorf("%s, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Hash(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := Hash(t.Context(), dir); err == nil {
		t.Error("a folder has a hash")
	}
}

// Names of one file have one ID, a file that is replaced or written to has another,
// also when its time is set back.
func TestIdentity(t *testing.T) {
	dir := folder(t, "a")
	path := filepath.Join(dir, "a")
	id := func(path string) ID {
		_, id, err := Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := id(path)
	if first == "" {
		t.Skip("NOT TESTED: files have no identity here")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if id(link) != first {
		t.Error("a link to a file is another file")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "b")
	if err := os.WriteFile(other, []byte("b"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if id(path) == first {
		t.Error("a file of the same size and time in its place is the same")
	}
}
