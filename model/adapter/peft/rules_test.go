package peft

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"vgid/model/hf"
)

// testdata/rules.py writes rules.json with PEFT and says what is in it.
func TestModuleRulesAreThoseOfPEFT(t *testing.T) {
	raw, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var families []struct {
		Family         string
		Paths          []string
		Linear, Leaves []int
		Cases          []struct {
			Config json.RawMessage
			Error  string
			Picked [][3]float64
			Saved  []int
		}
	}
	if err := json.Unmarshal(raw, &families); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, f := range families {
		for _, c := range f.Cases {
			cases++
			conf := Config{PeftType: "LORA", R: 4, LoraAlpha: 8, Bias: "none"}
			if err := json.Unmarshal(c.Config, &conf); err != nil {
				t.Fatalf("%s: %v", c.Config, err)
			}
			err := conf.Validate()
			if notFound := strings.Contains(c.Error, "not found"); c.Error != "" && !notFound {
				if err == nil {
					t.Errorf("%s %s: PEFT says %q, we accept it", f.Family, c.Config, c.Error)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %v", f.Family, c.Config, err)
				continue
			}
			rules, err := conf.Rules()
			if err != nil {
				t.Fatal(err)
			}
			var picked [][3]float64
			var saved []int
			for i, path := range f.Paths {
				if rules.SavedBy(path) != nil {
					saved = append(saved, i)
				}
				if !slices.Contains(f.Leaves, i) {
					continue
				}
				hit, err := rules.Targets(Module{path, slices.Contains(f.Linear, i)})
				if err != nil {
					t.Fatal(err)
				}
				if !hit {
					continue
				}
				r, err := rules.Rank(path)
				if err != nil {
					t.Fatal(err)
				}
				alpha, err := rules.Alpha(path)
				if err != nil {
					t.Fatal(err)
				}
				picked = append(picked, [3]float64{float64(i), float64(r), alpha})
			}
			if !slices.Equal(picked, c.Picked) {
				t.Errorf("%s %s picks %v, PEFT %v", f.Family, c.Config, picked, c.Picked)
			}
			if !slices.Equal(saved, c.Saved) {
				t.Errorf("%s %s saves %v, PEFT %v", f.Family, c.Config, saved, c.Saved)
			}
		}
	}
	if cases < 50 {
		t.Errorf("only %d cases", cases)
	}
}

// adapterFolder writes an adapter_config.json beside weights of no tensors.
func adapterFolder(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hf.AdapterConfigName), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := hf.WriteSafetensors(filepath.Join(dir, weightsName), nil, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAdapterConfigsThatAreRefused(t *testing.T) {
	const start = `{"peft_type": "LORA", "target_modules": ["q_proj"]`
	for _, c := range []struct{ more, want string }{
		{`, "use_dora": true`, "use_dora is not implemented"},
		{`, "init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}`, `init_lora_weights "loftq" changes the base weights`},
		{`, "layer_replication": [[0, 4],
			[2, 5]]`, "layer_replication is not implemented (it is [[0, 4], [2, 5]])"},
		{`, "init_lora_weights": "pissa"`, `init_lora_weights "pissa" changes the base weights`},
		{`, "trainable_token_indices": [5]`, "trainable_token_indices is not implemented (it is [5])"},
		{`, "lora_bias": true`, "lora_bias is not implemented (it is true)"},
		{`, "of_the_future": {"a": 1}`, `of_the_future is not implemented (it is {"a": 1}); merge the adapter with PEFT`},
		{`, "r": 0`, "r is 0"},
		{`, "rank_pattern": {"q_proj": 0}`, `rank_pattern "q_proj" is 0`},
		{`, "rank_pattern": ["q_proj"]`, "expected an object"},
		{`, "exclude_modules": "(q_proj"`, `exclude_modules: "(q_proj" is not a regular expression`},
		{`, "layers_pattern": "layers"`, "layers_pattern is given without layers_to_transform"},
		{`, "bias": "some"`, `bias "some"`},
		{`, "target_modules": null`, "target_modules is empty"},
	} {
		_, w, err := Read(adapterFolder(t, start+c.more+"}"))
		if err == nil {
			w.Close()
			t.Errorf("%s is accepted", c.more)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), hf.AdapterConfigName) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.more, err, c.want)
		}
	}
	// What PEFT 0.21 writes today.
	_, w, err := Read(adapterFolder(t, start+`, "peft_version": "0.21.2", "qalora_group_size": 16, "lorap_lr_ratio": 16.0, "lorap_emb_lr": 1e-06, "enable_lora": null, "megatron_core": "megatron.core",
		"loftq_config": {}, "lora_bias": false, "auto_mapping": {"base_model_class": "X"}, "exclude_modules": null,
		"layers_to_transform": null, "init_lora_weights": true, "alpha_pattern": {}, "use_bdlora": null}`))
	if err != nil {
		t.Error(err)
	} else {
		w.Close()
	}
}

// The order of a pattern's keys decides, so it is kept.
func TestModuleValuesKeepTheirOrder(t *testing.T) {
	const text = `{"z<1>":3,"a":2,"m":1}`
	var m ModuleValues[int]
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if b, err := m.MarshalJSON(); err != nil || string(b) != text {
		t.Errorf("written as %s (%v)", b, err)
	}
	if b, err := ModuleValues[int](nil).MarshalJSON(); err != nil || string(b) != "{}" {
		t.Errorf("nothing is written as %s (%v)", b, err)
	}
}
