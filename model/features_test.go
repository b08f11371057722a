package model

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/cpu"
	"vgid/model/hf"
)

// feature is what testdata/golden_features.py saw of one feature of PEFT.
type feature struct {
	Config  json.RawMessage `json:"config"`
	Tensors map[string]struct {
		Shape []int     `json:"shape"`
		Data  []float32 `json:"data"`
	} `json:"tensors"`
	Logits []float32 `json:"logits"`
	Moved  bool      `json:"moved"`
}

func (f *feature) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), f.Config, 0o644); err != nil {
		t.Fatal(err)
	}
	var list []hf.NamedTensor
	for n, x := range f.Tensors {
		list = append(list, hf.NamedTensor{Name: n, Shape: x.Shape, DType: "F32", Data: x.Data})
	}
	if err := hf.WriteSafetensors(filepath.Join(dir, "adapter_model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every feature of PEFT's adapters is taken as PEFT takes it, or refused by its
// name in one line.
func TestFeaturesOfPEFT(t *testing.T) {
	refused := map[string]string{ // the others are taken
		"olora":                   `init_lora_weights "olora" changes the base weights`,
		"pissa":                   `init_lora_weights "pissa" changes the base weights`,
		"pissa_niter":             `init_lora_weights "pissa_niter_4" changes the base weights`,
		"use_dora":                "use_dora is not implemented",
		"lora_bias":               "lora_bias is not implemented (it is true)",
		"trainable_token_indices": "trainable_token_indices is not implemented (it is [5, 9])",
		"target_parameters":       `target_parameters is not implemented (it is ["k_proj.weight"])`,
		"use_qalora":              "use_qalora is not implemented (it is true)",
		"alora_invocation_tokens": "alora_invocation_tokens is not implemented (it is [9])",
		"velora_config":           "velora_config is not implemented (it is {",
		"monteclora_config":       "monteclora_config is not implemented (it is {",
		"kasa_config":             "kasa_config is not implemented (it is {",
		"head":                    `lm_head.lora_A.weight": a branch on the head (lm_head) is not implemented`,
		"embedding":               `embed_tokens.lora_embedding_A": a branch on the embedding (model.language_model.embed_tokens) is not implemented`,
		"convolution":             `a branch on a convolution (model.vision_tower.embeddings.patch_embedding) is not implemented`,
		"ia3":                     `peft_type "IA3" is not supported, only LORA`,
		"adalora":                 `peft_type "ADALORA"`,
		"vera":                    `peft_type "VERA"`,
		"loha":                    `peft_type "LOHA"`,
		"oft":                     `peft_type "OFT"`,
		"ln_tuning":               `peft_type "LN_TUNING"`,
		"prompt_tuning":           `peft_type "PROMPT_TUNING"`,
	}
	f, err := os.Open("testdata/features.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var features map[string]*feature
	if err := json.NewDecoder(in).Decode(&features); err != nil || len(features) < 30 {
		t.Fatal(len(features), err)
	}
	be := cpu.New(1)
	defer be.Close()
	for name, want := range refused {
		if features[name] == nil {
			t.Errorf("%s (%s) is not in the file", name, want)
		}
	}
	for name, x := range features {
		t.Run(name, func(t *testing.T) {
			m := load(t, be, "testdata/golden/llava_mha", LoadOptions{})
			defer m.Close()
			seq := []Sequence{{IDs: []int32{1, 5, 9, 14}}}
			before := logits(t, m, seq)
			_, err := m.LoadAdapter(x.folder(t), AdapterOptions{})
			if want := refused[name]; want != "" {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v does not say %q", err, want)
				}
				if got := logits(t, m, seq); relative(got, before) != 0 {
					t.Error("a refused adapter changes the model")
				}
				return
			}
			if err != nil || x.Moved {
				t.Fatalf("%v (PEFT changed the base: %v)", err, x.Moved)
			}
			got := logits(t, m, seq)
			got = got[len(got)-len(x.Logits):]
			if e := relative(got, x.Logits); e > 1e-4 {
				t.Errorf("logits: relative error %g", e)
			}
			if relative(before[len(before)-len(x.Logits):], x.Logits) < 1e-2 {
				t.Error("the adapter changes little")
			}
		})
	}
}
