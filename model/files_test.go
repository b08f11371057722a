package model

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vgid/model/hf"
	"vgid/model/nn"
	"vgid/model/ref"
)

// variants are configs whose folders differ in names, ties and fields.
var variants = map[string]func(*Config){
	"plain": nil,
	"tied":  func(c *Config) { c.Text.TieEmbeddings = true },
	"list":  func(c *Config) { ownFields(c).FeatureLayers, ownFields(c).FeatureSelect = []int{-1, 2}, "full" },
	"llama3": func(c *Config) {
		c.Text.RoPE = nn.RoPE{Theta: 500, Type: "llama3", Factor: 4, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositions: 16}
	},
	"linear": func(c *Config) { c.Text.RoPE = nn.RoPE{Theta: 100, Type: "linear", Factor: 2} },
}

func TestSavedFolderIsTheSameModel(t *testing.T) {
	for name, change := range variants {
		t.Run(name, func(t *testing.T) {
			m := newTestModel(t, change)
			defer m.Close()
			dir := filepath.Join(t.TempDir(), "m")
			if err := m.Save(dir, SaveOptions{MaxShardBytes: 2000}); err != nil {
				t.Fatal(err)
			}
			n, err := Load(context.Background(), ref.New(), dir)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			sameModel(t, n, m, testSequences(m.Config))
		})
	}
}

// sameModel holds a model that came back from files against the one that was saved, to
// the bit.
func sameModel(t *testing.T, got, saved *Model, seqs []Sequence) {
	t.Helper()
	if is, was := logits(t, got, seqs), logits(t, saved, seqs); !slices.Equal(is, was) {
		t.Errorf("logits differ by %g", maxAbsDiff(is, was))
	}
	is, _ := json.Marshal(got.Config)
	was, _ := json.Marshal(saved.Config)
	if string(is) != string(was) {
		t.Errorf("config was %s, came back as %s", was, is)
	}
}

// allTensors reads the weights of a folder, for tests that write them under other names.
func allTensors(t *testing.T, dir string) []hf.NamedTensor {
	t.Helper()
	w, err := hf.OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var list []hf.NamedTensor
	for _, n := range w.Names() {
		info, _ := w.Info(n)
		x := hf.NamedTensor{Name: n, Shape: info.Shape, DType: info.DType, Data: make([]float32, info.Elements())}
		if err := w.ReadF32(n, x.Data); err != nil {
			t.Fatal(err)
		}
		list = append(list, x)
	}
	return list
}

// interpreter is a Python with the reference libraries.
type interpreter string

// reference is the one that VGID_PYTHON names; without it a test is skipped.
func reference(t *testing.T) interpreter {
	python := os.Getenv("VGID_PYTHON")
	if python == "" {
		t.Skip("VGID_PYTHON names no python with transformers and peft: what we save is not checked against them")
	}
	return interpreter(python)
}

// check runs testdata/check_saved.py on a folder that writeCheck was called for, and logs
// what it says of each model.
func (python interpreter) check(t *testing.T, dir string) {
	t.Helper()
	out, err := exec.Command(string(python), "testdata/check_saved.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "transformers ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestTransformersLoadsWhatWeSave runs testdata/check_saved.py.
func TestTransformersLoadsWhatWeSave(t *testing.T) {
	python := reference(t)
	for name, change := range variants {
		t.Run(name, func(t *testing.T) {
			m := newTestModel(t, change)
			defer m.Close()
			dir := t.TempDir()
			if err := m.Save(dir, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			s := testSequences(m.Config)[:1]
			writeCheck(t, m, dir, s[0], logits(t, m, s), nil)
			python.check(t, dir)
		})
	}
}

// transformers 5.23 takes a tied head for the embedding where that is missing.
func TestTiedHeadStandsForTheEmbedding(t *testing.T) {
	m := newTestModel(t, func(c *Config) { c.Text.TieEmbeddings = true })
	defer m.Close()
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	want := logits(t, m, testSequences(m.Config))
	list := allTensors(t, dir)
	for i := range list {
		if list[i].Name == m.text.Embed.Name {
			list[i].Name = m.Config.Family.HeadName()
		}
	}
	if err := hf.WriteWeights(dir, list, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as it came, and saved again
		n, err := Load(t.Context(), ref.New(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := logits(t, n, testSequences(m.Config)); !slices.Equal(got, want) {
			t.Errorf("logits differ: %g", relative(got, want))
		}
		dir = t.TempDir()
		if err := n.Save(dir, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		n.Close()
	}
}

func TestFoldersThatDoNotFitAreRefused(t *testing.T) {
	edit := func(t *testing.T, dir, old, new string) {
		t.Helper()
		path := filepath.Join(dir, "config.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := strings.Replace(string(b), old, new, 1)
		if s == string(b) {
			t.Fatalf("config.json has no %s", old)
		}
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"no config", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "config.json")) }, []string{"config.json", "no such file"}},
		{"not JSON", func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "config.json"), 1) }, []string{"config.json"}},
		{"model_type", func(t *testing.T, dir string) { edit(t, dir, `"llava"`, `"llama4"`) }, []string{"config.json", "model_type", "llama4", "llava"}},
		{"LLaVA's own model_type", func(t *testing.T, dir string) { edit(t, dir, `"llava"`, `"llava_llama"`) }, []string{"config.json", `"llava_llama" is of LLaVA's own code`, "-hf"}},
		{"a tensor that was not gathered", func(t *testing.T, dir string) {
			err := hf.WriteWeights(dir, []hf.NamedTensor{{Name: "vision_tower.vision_model.embeddings.patch_embedding.weight", Shape: []int{0}, DType: "F32"}}, 0)
			if err != nil {
				t.Error(err)
			}
		}, []string{"patch_embedding.weight", "is empty, as DeepSpeed ZeRO-3"}},
		{"text model_type", func(t *testing.T, dir string) { edit(t, dir, `"llama"`, `"mistral"`) }, []string{"text_config.model_type", "mistral"}},
		{"activation", func(t *testing.T, dir string) { edit(t, dir, `"silu"`, `"relu"`) }, []string{"text_config.hidden_act", "relu"}},
		{"vision activation", func(t *testing.T, dir string) { edit(t, dir, `"quick_gelu"`, `"relu"`) }, []string{"vision_config.hidden_act", "relu"}},
		{"rope", func(t *testing.T, dir string) {
			edit(t, dir, `"rope_scaling": null`, `"rope_scaling": {"type": "yarn"}`)
		}, []string{"rope_type", "yarn"}},
		{"width", func(t *testing.T, dir string) { edit(t, dir, `"intermediate_size": 6`, `"intermediate_size": 7`) }, []string{"tensor", "gate_proj", "[6 8]", "[7 8]"}},
		{"depth", func(t *testing.T, dir string) { edit(t, dir, `"num_hidden_layers": 2`, `"num_hidden_layers": 4`) }, []string{"layers.2", "missing"}},
		{"shallow", func(t *testing.T, dir string) { edit(t, dir, `"num_hidden_layers": 2`, `"num_hidden_layers": 1`) }, []string{"layers.1", "no part of the model"}},
		{"no head", func(t *testing.T, dir string) {
			tied := newTestModel(t, func(c *Config) { c.Text.TieEmbeddings = true })
			defer tied.Close()
			if err := tied.Save(dir, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // of the model and of its text's part
				edit(t, dir, `"tie_word_embeddings": true`, `"tie_word_embeddings": false`)
			}
		}, []string{"lm_head.weight", "is missing", "config.json", "tie_word_embeddings"}},
		{"two heads", func(t *testing.T, dir string) {
			for range 2 {
				edit(t, dir, `"tie_word_embeddings": false`, `"tie_word_embeddings": true`)
			}
		}, []string{"lm_head.weight", "differs from", "embed_tokens.weight", "tie_word_embeddings"}},
		{"truncated", func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "model.safetensors"), 3000) }, []string{"model.safetensors"}},
		{"no weights", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }, []string{"model.safetensors"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestModel(t, nil)
			defer m.Close()
			dir := t.TempDir()
			if err := m.Save(dir, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, dir)
			_, err := Load(context.Background(), ref.New(), dir)
			if err == nil {
				t.Fatal("loaded")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not name %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %q", err)
			}
		})
	}
}

// What config.json says of a size is believed only after the weights have been
// seen to have it: nothing is computed or kept for a size that no tensor has.
func TestImpossibleSizesAreRefusedBeforeTheyTakeMemory(t *testing.T) {
	for field, tensor := range map[string]string{"head_dim": "q_proj", "vocab_size": "embed_tokens", "intermediate_size": "gate_proj"} {
		t.Run(field, func(t *testing.T) {
			m := newTestModel(t, nil)
			defer m.Close()
			dir := t.TempDir()
			if err := m.Save(dir, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "config.json")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			was := regexp.MustCompile(`"` + field + `": \d+`) // first in the decoder's part, which is sorted before the tower's
			if at := was.FindIndex(b); at == nil {
				t.Fatalf("config.json has no %s", field)
			} else if err := os.WriteFile(path, slices.Concat(b[:at[0]], fmt.Appendf(nil, `"%s": 100000000`, field), b[at[1]:]), 0o644); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = Load(t.Context(), ref.New(), dir)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tensor) || !strings.Contains(err.Error(), "config.json asks for") {
				t.Errorf("%v does not speak of %s", err, tensor)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 { // a byte for each would be more
				t.Errorf("%d bytes were taken before it was refused", took)
			}
		})
	}
}

func TestAdapterFolder(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	lora(t, m, 0, "language_model.*.q_proj", "linear_1", "fc2")
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := m.SaveAdapter(dir, "base"); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(dir, SaveOptions{}); err == nil || !strings.Contains(err.Error(), "merge") {
		t.Errorf("a model with an adapter was saved without it: %v", err)
	}
	n := newTestModel(t, nil)
	defer n.Close()
	names, err := n.LoadAdapter(dir, AdapterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names, " "), strings.Join(m.Adapter().Modules(), " "); got != want {
		t.Errorf("adapter on %s, want %s", got, want)
	}
	if d := maxAbsDiff(logits(t, n, testSequences(n.Config)), logits(t, m, testSequences(m.Config))); d != 0 {
		t.Errorf("logits differ by %g", d)
	}
	other := newTestModel(t, func(c *Config) { c.Text.HiddenSize, c.Text.HeadDim = 16, 4 })
	defer other.Close()
	if _, err := other.LoadAdapter(dir, AdapterOptions{}); err == nil || !strings.Contains(err.Error(), "linear_1") || !strings.Contains(err.Error(), "shape") {
		t.Errorf("adapter of another base: %v", err)
	}
	if _, err := other.LoadAdapter(dir, AdapterOptions{}); err == nil || strings.Contains(err.Error(), "already") {
		t.Errorf("a refused adapter stays attached: %v", err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
