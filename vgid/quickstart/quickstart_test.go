package quickstart

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model"
	"vgid/model/cpu"
)

// A reference is a built-in model's, another's, or of the form of the first and none.
func TestFind(t *testing.T) {
	for ref, want := range map[string]string{Builtin: "base", Init: "init", "models/quickstart": "", "": "", "builtin": ""} {
		folder, write, err := Find(ref)
		if err != nil || folder != want || (write != nil) != (want != "") {
			t.Errorf("%q: folder %q, can be written: %v, %v", ref, folder, write != nil, err)
		}
	}
	for _, ref := range []string{"builtin:", "builtin:llava", "init:quick", "init:"} {
		if _, _, err := Find(ref); err == nil || !strings.Contains(err.Error(), `"`+ref+`"`) || !strings.Contains(err.Error(), Builtin) || !strings.Contains(err.Error(), Init) {
			t.Errorf("%q: %v, which should name it and what there is", ref, err)
		}
	}
}

// The shipped model is one of the quickstart's architecture, with every file that work
// on it reads, and is written over what stood there before.
func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Extract(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"model.safetensors", "tokenizer.json", "preprocessor_config.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	be := cpu.New(1)
	defer be.Close()
	m, err := model.Load(t.Context(), be, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := Config()
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.Type != c.Type || m.Config.Text.HiddenSize != c.Text.HiddenSize || m.Config.Text.Layers != c.Text.Layers || m.Config.Vision.ImageSize != c.Vision.ImageSize || m.Config.Text.VocabSize != c.Text.VocabSize {
		t.Errorf("the shipped model is %+v, the architecture %+v", m.Config, c)
	}
}

// small is an architecture that is made in moments.
const small = `{"model_type": "llava", "image_token_index": 4, "vision_feature_layer": -1, "vision_feature_select_strategy": "default",
  "text_config": {"model_type": "llama", "vocab_size": 1792, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64},
  "vision_config": {"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 24, "patch_size": 12}}`

// A model that is made is a function of the recipe: the same seed gives the same files,
// another seed other weights.
func TestCreateIsAFunctionOfTheRecipe(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	made := func(seed uint64) map[string][]byte {
		dir := t.TempDir()
		if err := CreateFrom(be, dir, Recipe{Config: []byte(small), Texts: 50, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	one, again, other := made(3), made(3), made(4)
	for name, b := range one {
		if !bytes.Equal(b, again[name]) {
			t.Errorf("%s was made differently", name)
		}
	}
	if bytes.Equal(one["model.safetensors"], other["model.safetensors"]) || len(one["tokenizer.json"]) == 0 || !slices.Equal(one["preprocessor_config.json"], other["preprocessor_config.json"]) {
		t.Errorf("another seed: files of %d", len(other))
	}
	if err := CreateFrom(be, t.TempDir(), Recipe{Config: []byte(`{"model_type": "none"}`)}); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("an architecture that is none: %v", err)
	}
}
