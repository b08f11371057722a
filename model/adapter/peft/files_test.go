package peft

import (
	"encoding/json"
	"reflect"
	"testing"

	"vgid/model/hf"
	"vgid/model/kit/hftest"
)

func TestAdapterRoundTrip(t *testing.T) {
	dir := t.TempDir()
	key := "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
	c := Config{BaseModel: "base", R: 4, LoraAlpha: 8, TargetModules: ModuleList{Names: []string{"q_proj"}}}
	if err := Write(dir, c, []hf.NamedTensor{{Name: key, Shape: []int{4, 2}, DType: "F32", Data: make([]float32, 8)}}, nil); err != nil {
		t.Fatal(err)
	}
	got, w, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got.R != 4 || got.PeftType != "LORA" || got.Bias != "none" || !reflect.DeepEqual(got.TargetModules, c.TargetModules) {
		t.Errorf("read back %+v", got)
	}
	if _, ok := w.Info(key); !ok {
		t.Errorf("names %v", w.Names())
	}
	c.TargetModules = ModuleList{Pattern: `.*\.q_proj`}
	b, err := json.Marshal(c.TargetModules)
	if err != nil || string(b) != `".*\\.q_proj"` {
		t.Errorf("pattern written as %s (%v)", b, err)
	}
	c.R = 0
	hftest.WantError(t, Write(dir, c, nil, nil), "r is 0")
	c.R, c.PeftType = 1, "IA3"
	hftest.WantError(t, Write(dir, c, nil, nil), `peft_type "IA3"`)
}

// What a folder is that was given as an adapter is said.
func TestFoldersThatAreNoAdapters(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"config.json": "{}", "model.safetensors": "x"}, "is a model, not a PEFT adapter"},
		{map[string]string{"adapter_config.json": `{"peft_type": "LORA", "target_modules": ["q_proj"]}`, "adapter_model.bin": "x"}, "a pickle (adapter_model.bin), which is not read: load the adapter with PEFT"},
		{map[string]string{"adapter_config.json": `{"peft_type": "LORA", "target_modules": ["q_proj"]}`, "adapter_model.safetensors": hftest.LFSPointer}, "adapter_model.safetensors is a git-lfs pointer"},
		{map[string]string{"adapter_config.json": `{"peft_type": "LORA", "target_modules": ["q_proj"]}`, "config.json": "{}", "adapter_model.safetensors": "x", "non_lora_trainables.bin": "x"},
			"holds non_lora_trainables.bin: weights that LLaVA's own code trained beside the branches"},
		{map[string]string{"adapter_config.json": hftest.LFSPointer}, "adapter_config.json: a git-lfs pointer"},
		{map[string]string{"best/adapter_config.json": "{}"}, "but there is one in "},
		{map[string]string{}, "give the folder of a PEFT adapter"},
	} {
		_, _, err := Read(hftest.FolderOf(t, c.files))
		hftest.WantError(t, err, c.want)
	}
}
