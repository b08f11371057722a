package model

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/adapter"
	"vgid/model/adapter/peft"
	"vgid/model/cpu"
	"vgid/model/hf"
)

// onAdapters runs a test on every adapter that testdata/golden_adapters.py made
// with PEFT, on its base.
func onAdapters(t *testing.T, run func(t *testing.T, m *Model, g *golden, adapter, base string)) {
	t.Helper()
	dirs, err := filepath.Glob("testdata/adapters/*")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("golden adapters: %v %v", dirs, err)
	}
	be := cpu.New(1)
	defer be.Close()
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			name, err := os.ReadFile(filepath.Join(dir, "base.txt"))
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join("testdata/golden", strings.TrimSpace(string(name)))
			m := load(t, be, base, LoadOptions{})
			run(t, m, openGolden(t, base, m.Config), dir, base)
		})
	}
}

// adapterLogits are what transformers and PEFT make of the golden batch.
func adapterLogits(t *testing.T, g *golden, dir string) []float32 {
	t.Helper()
	f, err := hf.OpenSafetensors(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Info("logits")
	v := make([]float32, info.Elements())
	if err := f.ReadF32("logits", v); err != nil {
		t.Fatal(err)
	}
	return g.unpadded(v)
}

func TestAdaptersOfPEFT(t *testing.T) {
	onAdapters(t, func(t *testing.T, m *Model, g *golden, dir, base string) {
		before := logits(t, m, g.seqs)
		if _, err := m.LoadAdapter(dir, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		want, got := adapterLogits(t, g, dir), logits(t, m, g.seqs)
		if relative(before, want) < 1e-2 {
			t.Fatal("the adapter changes little")
		}
		if e := relative(got, want); e > 1e-4 {
			t.Errorf("logits: relative error %g", e)
		}
		// The teacher is the model without the adapter, biases and whole modules
		// included.
		if off := viewLogits(t, m.Base(), g.seqs); !slices.Equal(off, before) {
			t.Errorf("adapter off is not the base: %g", relative(off, before))
		}
		clone, err := m.Clone()
		if err != nil {
			t.Fatal(err)
		}
		defer clone.Close()
		if c := logits(t, clone, g.seqs); !slices.Equal(c, before) {
			t.Errorf("the clone is not the base: %g", relative(c, before))
		}
		if again := logits(t, m, g.seqs); !slices.Equal(again, got) {
			t.Errorf("with the adapter again: %g", relative(again, got))
		}

		// Saved, it holds the same tensors, and is the same function.
		saved := t.TempDir()
		if err := m.SaveAdapter(saved, base); err != nil {
			t.Fatal(err)
		}
		ours, theirs := adapterFile(t, saved), adapterFile(t, dir)
		for name, v := range theirs {
			own := m.Config.Family.MemoryName(m.Config.Family.DiskName(strings.TrimPrefix(name, hf.PEFTPrefix)))
			if m.Config.Idle(m.Config.Family.DiskName(own)) || repeats(own) || m.inert(t, own, v) {
				continue
			}
			if !slices.Equal(ours[hf.PEFTPrefix+own], v) {
				t.Errorf("tensor %s is not saved as it was", own)
			}
		}
		n := load(t, m.Backend(), base, LoadOptions{})
		if _, err := n.LoadAdapter(saved, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		if again := logits(t, n, g.seqs); !slices.Equal(again, got) {
			t.Errorf("saved and read again: %g", relative(again, got))
		}
		if err := m.MergeLoRA(); err != nil {
			t.Fatal(err)
		}
		if e := relative(logits(t, m, g.seqs), got); e > 1e-5 {
			t.Errorf("merging moves logits by %g", e)
		}
	})
}

// repeats reports whether a tensor is stored under another name as well.
func repeats(name string) bool {
	return strings.Contains(name, ".modules_to_save.") || strings.Contains(name, ".original_module.")
}

// inert reports whether a stored embedding is the base's, which it shares with
// the head.
func (m *Model) inert(t *testing.T, name string, v []float32) bool {
	w := m.Tied()
	if w == nil || m.Config.Family.DiskName(name) != m.Config.Family.HeadName() && m.Config.Family.DiskName(name) != w.Name {
		return false
	}
	base := make([]float32, w.Value.Len())
	if err := m.UntrainedRows(w, base, 0); err != nil {
		t.Fatal(err)
	}
	return slices.Equal(base, v)
}

// What an adapter config picks is what PEFT picked.
func TestTargetsAreThoseOfPEFT(t *testing.T) {
	onAdapters(t, func(t *testing.T, m *Model, _ *golden, dir, _ string) {
		c, files, err := peft.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		files.Close()
		names, err := m.AddLoRA(adapter.FromPEFT(&c))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for name := range adapterFile(t, dir) {
			own := strings.Replace(m.Config.Family.DiskName(strings.TrimPrefix(name, hf.PEFTPrefix)), ".base_layer.", ".", 1)
			if m.Tied() != nil && own == m.Config.Family.HeadName() {
				own = m.Tied().Name
			}
			// Embeddings that are only stored beside the adapter are not trained.
			stored := (own == m.text.Embed.Name || own == m.text.Head.Name) && len(c.ModulesToSave) == 0
			if !m.Config.Idle(own) && !repeats(own) && !stored {
				want[own] = true
			}
		}
		got := map[string]bool{}
		for _, w := range m.Weights {
			if w.Trainable && !m.Config.Idle(w.Name) {
				got[w.Name] = true
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("trained are %v, PEFT trains %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		if len(names) == 0 {
			t.Error("no module")
		}
	})
}

// adapterFile reads all tensors of an adapter.
func adapterFile(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	f, err := hf.OpenSafetensors(filepath.Join(dir, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]float32{}
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		out[n] = make([]float32, info.Elements())
		if err := f.ReadF32(n, out[n]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestPEFTLoadsWhatWeSave runs testdata/check_saved.py on adapters of PEFT that
// were read and saved here.
func TestPEFTLoadsWhatWeSave(t *testing.T) {
	python := reference(t)
	onAdapters(t, func(t *testing.T, m *Model, g *golden, adapter, base string) {
		dir := t.TempDir()
		if err := m.Save(dir, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		before := logits(t, m, g.seqs[:1])
		if _, err := m.LoadAdapter(adapter, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := m.SaveAdapter(filepath.Join(dir, "adapter"), dir); err != nil {
			t.Fatal(err)
		}
		writeCheck(t, m, dir, g.seqs[0], before, logits(t, m, g.seqs[:1]))
		python.check(t, dir)
	})
}

// spoiled is an adapter folder with one thing changed.
func spoiled(t *testing.T, from string, config func(map[string]any), tensors func([]hf.NamedTensor) []hf.NamedTensor) string {
	t.Helper()
	dir := t.TempDir()
	raw, err := os.ReadFile(filepath.Join(from, "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	if config != nil {
		config(c)
	}
	if raw, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := hf.OpenSafetensors(filepath.Join(from, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []hf.NamedTensor
	for n, v := range adapterFile(t, from) {
		info, _ := f.Info(n)
		list = append(list, hf.NamedTensor{Name: n, Shape: info.Shape, DType: "F32", Data: v})
	}
	slices.SortFunc(list, func(a, b hf.NamedTensor) int { return strings.Compare(a.Name, b.Name) })
	if tensors != nil {
		list = tensors(list)
	}
	if err := hf.WriteSafetensors(filepath.Join(dir, "adapter_model.safetensors"), list, f.Metadata()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAdaptersThatDoNotFitAreRefused(t *testing.T) {
	const plain, base = "testdata/adapters/regex_rslora_ranks", "testdata/golden/llava_mha"
	const tied, biases = "testdata/golden/qwen25_tied_memory", "testdata/golden/llava_mha"
	change := func(name string, f func(*hf.NamedTensor)) func([]hf.NamedTensor) []hf.NamedTensor {
		return func(list []hf.NamedTensor) []hf.NamedTensor {
			for i := range list {
				if strings.Contains(list[i].Name, name) {
					f(&list[i])
				}
			}
			return list
		}
	}
	without := func(name string) func([]hf.NamedTensor) []hf.NamedTensor {
		return func(list []hf.NamedTensor) []hf.NamedTensor {
			return slices.DeleteFunc(list, func(x hf.NamedTensor) bool { return strings.HasSuffix(x.Name, name) })
		}
	}
	be := cpu.New(1)
	defer be.Close()
	rename := func(old, new string) func([]hf.NamedTensor) []hf.NamedTensor {
		return func(list []hf.NamedTensor) []hf.NamedTensor {
			for i := range list {
				list[i].Name = strings.Replace(list[i].Name, old, new, 1)
			}
			return list
		}
	}
	for _, tt := range []struct {
		name, base string
		config     func(map[string]any)
		tensors    func([]hf.NamedTensor) []hf.NamedTensor
		want       []string
		from       string
	}{
		{"another rank", base, func(c map[string]any) { c["r"], c["rank_pattern"] = 5, nil }, nil, []string{"layers.0.", "lora_A.weight", "has shape [", "ask for [5 "}, plain},
		{"another base", "testdata/golden/llava_gqa_tied", nil, nil, []string{"lora_", "has shape", "ask for"}, plain},
		{"a layer too many", base, nil, rename("layers.1.mlp", "layers.9.mlp"), []string{`layers.9.mlp.down_proj.lora_A.weight" is for a layer that this model does not have`}, plain},
		{"half a branch", base, nil, func(l []hf.NamedTensor) []hf.NamedTensor { return l[1:] }, []string{"lora_A.weight", "is missing"}, plain},
		{"a layer too few", base, nil, func(l []hf.NamedTensor) []hf.NamedTensor { return l[2:] }, []string{"is missing, but target_modules picks its layer"}, plain},
		{"an embedding's branch", base, nil, rename(".lora_A.weight", ".lora_embedding_A"), []string{"no part of a plain LoRA branch"}, plain},
		{"a branch twice", base, nil, func(l []hf.NamedTensor) []hf.NamedTensor {
			i := slices.IndexFunc(l, func(x hf.NamedTensor) bool { return strings.HasSuffix(x.Name, ".lora_B.weight") })
			twin := l[i]
			twin.Name = strings.Replace(twin.Name, ".lora_B.weight", ".lora_B.default.weight", 1)
			return append(l, twin)
		}, []string{".lora_B.default.weight\" and ", "are the same one; leave one"}, plain},
		{"another adapter's name", base, nil, rename(".lora_A.weight", ".lora_A.other.weight"), []string{"no part of a plain LoRA branch"}, plain},
		{"no prefix", base, nil, rename("base_model.model.", ""), []string{"no part of a LoRA adapter"}, plain},
		{"a bias nobody has", base, nil, func(l []hf.NamedTensor) []hf.NamedTensor {
			return append(l, hf.NamedTensor{Name: "base_model.model.lm_head.bias", Shape: []int{1}, DType: "F32", Data: []float32{1}})
		}, []string{"lm_head.bias", "no weight of this model"}, plain},
		{"a copy of a bias that is another", biases, nil, change("modules_to_save.default.linear_1.bias", func(x *hf.NamedTensor) { x.Data[0]++ }),
			[]string{`modules_to_save.default.linear_1.bias" differs from "base_model.model.model.multi_modal_projector.linear_1.bias", which it should repeat`}, "testdata/adapters/bias_all_saved"},
		{"a part that was not gathered", base, nil, change("layers.0.self_attn.q_proj.lora_A.weight", func(x *hf.NamedTensor) { x.Shape, x.Data = []int{0}, nil }),
			[]string{`layers.0.self_attn.q_proj.lora_A.weight" is empty, as DeepSpeed ZeRO-3 or FSDP save it`}, plain},
		{"a copy without what it copies", biases, nil, without("projector.linear_1.bias"),
			[]string{`linear_1.bias" repeats one that is missing`}, "testdata/adapters/bias_all_saved"},
		{"a head apart from the embedding", tied, nil, change("lm_head.weight", func(x *hf.NamedTensor) { x.Data[5]++ }),
			[]string{"embed_tokens.weight", "is trained apart from what this model ties it to", "ensure_weight_tying"}, "testdata/adapters/saved_tied"},
		{"an embedding alone", tied, func(c map[string]any) { c["ensure_weight_tying"] = false }, without("lm_head.weight"),
			[]string{"embed_tokens.weight", "is trained apart"}, "testdata/adapters/saved_tied"},
		{"a head alone", tied, func(c map[string]any) { c["ensure_weight_tying"], c["modules_to_save"] = false, []string{"lm_head"} }, without("embed_tokens.weight"),
			[]string{"lm_head.weight", "is trained apart"}, "testdata/adapters/saved_tied"},
		{"a larger vocabulary", base, nil, change("embed_tokens.weight", func(x *hf.NamedTensor) {
			x.Shape = []int{x.Shape[0] + 2, x.Shape[1]}
			x.Data = append(x.Data, make([]float32, 2*x.Shape[1])...)
		}), []string{"embed_tokens.weight\" has 42 rows, this model's vocabulary 40", "resize_token_embeddings(42)"}, "testdata/adapters/stored_embeddings"},
		{"half a branch of a layer that nothing reads", base, nil, without("vision_tower.encoder.layers.2.mlp.fc1.lora_B.weight"),
			[]string{"vision_tower.encoder.layers.2.mlp.fc1.lora_B.weight", "is missing"}, "testdata/adapters/idle_layers"},
	} {
		m := load(t, be, tt.base, LoadOptions{})
		before, _ := m.NumParameters()
		_, err := m.LoadAdapter(spoiled(t, tt.from, tt.config, tt.tensors), AdapterOptions{})
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %q does not say %q", tt.name, err, w)
			}
		}
		if after, trained := m.NumParameters(); after != before || trained != 0 {
			t.Errorf("%s: a refused adapter stays attached", tt.name)
		}
	}
}

// A state dict that was saved without PEFT's save_pretrained has the adapter's
// name in its paths.
func TestAdapterNamesInPaths(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	const plain, base = "testdata/adapters/regex_rslora_ranks", "testdata/golden/llava_mha"
	named := spoiled(t, plain, nil, func(list []hf.NamedTensor) []hf.NamedTensor {
		for i := range list {
			list[i].Name = strings.Replace(list[i].Name, ".weight", ".default.weight", 1)
		}
		return list
	})
	var want []float32
	for _, dir := range []string{plain, named} {
		m := load(t, be, base, LoadOptions{})
		if _, err := m.LoadAdapter(dir, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		got := logits(t, m, openGolden(t, base, m.Config).seqs)
		if want == nil {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("with names: relative error %g", relative(got, want))
		}
	}
}

// An adapter says what it was made for: the same shapes are not enough.
func TestFingerprints(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, _ *golden, dir string) {
		same, err := m.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		narrow, _ := narrowCopy(t, m)
		for name, n := range map[string]*Model{"bfloat16": load(t, m.Backend(), narrow, LoadOptions{}), "lazy": load(t, m.Backend(), dir, LoadOptions{Lazy: true})} {
			if id, err := n.Fingerprint(); err != nil || id != same {
				t.Errorf("%s: fingerprint %s, want %s (%v)", name, id, same, err)
			}
		}
		if _, err := m.AddLoRA(testAdapter(m)); err != nil {
			t.Fatal(err)
		}
		adapter := t.TempDir()
		if err := m.SaveAdapter(adapter, "there/base"); err != nil {
			t.Fatal(err)
		}
		other := load(t, m.Backend(), dir, LoadOptions{})
		v := other.Weights[len(other.Weights)-1].Value
		other.Backend().Fill(v, 7)
		_, err = other.LoadAdapter(adapter, AdapterOptions{})
		if err == nil || !strings.Contains(err.Error(), `made for another base model ("there/base"`) {
			t.Errorf("adapter of a model of the same shapes: %v", err)
		}
		if _, err := other.LoadAdapter(adapter, AdapterOptions{AnyBase: true}); err != nil {
			t.Error(err)
		}
	})
}

func TestTargetsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		c    LoRAConfig
		want string
	}{
		{LoRAConfig{R: 2, Targets: []string{"q_prj"}}, `pattern "q_prj" matches no linear layer of the model`},
		{LoRAConfig{R: 2, Targets: []string{"re:nothing"}}, "match no linear layer"},
		{LoRAConfig{R: 2, Targets: []string{"re:(q"}}, "is not a regular expression"},
		{LoRAConfig{R: 2, Targets: []string{"all-linear", "q_proj"}}, "stands for itself"},
		{LoRAConfig{R: 2, Targets: []string{"lm_head"}}, "the targets name lm_head: an adapter of an embedding, a convolution or the head is not implemented"},
		{LoRAConfig{R: 2, Targets: []string{"embed_tokens", "q_proj"}}, "embed_tokens: an adapter of an embedding"},
		{LoRAConfig{R: 2, Targets: []string{"q_proj"}, ModulesToSave: []string{"ln_f"}}, `modules_to_save "ln_f" names no module`},
		{LoRAConfig{R: 2, Targets: []string{"q_proj"}, Bias: "few"}, `bias "few"`},
		{LoRAConfig{R: 0, Targets: []string{"q_proj"}}, "r must be positive"},
	} {
		m := newTestModel(t, nil)
		if _, err := m.AddLoRA(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", tt.c, err, tt.want)
		}
		m.Close()
	}
	tied := newTestModel(t, func(c *Config) { c.Text.TieEmbeddings = true })
	defer tied.Close()
	if _, err := tied.AddLoRA(LoRAConfig{R: 2, Targets: []string{"q_proj"}, ModulesToSave: []string{"embed_tokens"}}); err == nil || !strings.Contains(err.Error(), "which this model shares (tie_word_embeddings)") {
		t.Errorf("the shared embedding as a whole: %v", err)
	}
}
