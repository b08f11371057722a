package model

import (
	"strings"
	"testing"

	"vgid/model/hf"
	"vgid/model/ref"
)

// transformers 5.23 warns and draws all the weights of such a folder anew.
func TestNamesOfWrappersAreTold(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	list := allTensors(t, dir)
	before := func(prefix string) func(string) string {
		return func(n string) string { return prefix + n }
	}
	within := func(old, new string) func(string) string {
		return func(n string) string { return strings.Replace(n, old, new, 1) }
	}
	for _, test := range []struct {
		want   string
		rename func(string) string
	}{
		{"torch.compile", before("_orig_mod.")},
		{"DistributedDataParallel", before("module._orig_mod.")},
		{"Lightning", before("_forward_module.")},
		{"FSDP", within("layers.0.", "layers.0._fsdp_wrapped_module.")},
		{"activation checkpointing", within("layers.0.", "layers.0._checkpoint_wrapped_module.")},
		{"merge_and_unload", within("q_proj.", "q_proj.base_layer.")},
		{"merge_and_unload", before(hf.PEFTPrefix)},
		{`.q_proj.weight" is missing$`, within("q_proj.", "my_proj.")},
	} {
		renamed := make([]hf.NamedTensor, len(list))
		for i, x := range list {
			renamed[i] = x
			renamed[i].Name = test.rename(x.Name)
		}
		if err := hf.WriteWeights(dir, renamed, 0); err != nil {
			t.Fatal(err)
		}
		n, err := Load(t.Context(), ref.New(), dir)
		if err == nil {
			n.Close()
			t.Errorf("%s: taken", test.want)
			continue
		}
		if !strings.Contains(err.Error()+"$", test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is not in: %v", test.want, err)
		}
	}
}
