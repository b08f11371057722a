package model

import (
	"bytes"
	"strings"
	"testing"

	"vgid/model/cpu"
	"vgid/model/hf"
)

// A merge holds what PEFT's merge holds, to the bit, also in the layers that no
// output of this model depends on: another program may read them.
func TestMergeReachesIdleLayers(t *testing.T) {
	const base, adapter = "testdata/golden/llava_mha", "testdata/adapters/idle_layers"
	golden, err := hf.OpenSafetensors(adapter + "/merged.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer golden.Close()
	be := cpu.New(1)
	defer be.Close()
	for _, dtype := range []string{"float32", "bfloat16", "float16"} {
		for _, lazy := range []bool{false, true} {
			typed := t.TempDir()
			if err := load(t, be, base, LoadOptions{}).Save(typed, SaveOptions{DType: dtype}); err != nil {
				t.Fatal(err)
			}
			m := load(t, be, typed, LoadOptions{Lazy: lazy, Weights: "float32"})
			names, err := m.LoadAdapter(adapter, AdapterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if m.Config.Idle(n + ".") {
					t.Errorf("%s is said to be trained", n)
				}
			}
			out := t.TempDir()
			if err := m.Save(out, SaveOptions{Merge: true}); err != nil {
				t.Fatal(err)
			}
			merged, err := hf.OpenWeights(out)
			if err != nil {
				t.Fatal(err)
			}
			from, err := hf.OpenWeights(typed)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, name := range golden.Names() {
				own, ok := strings.CutPrefix(name, dtype+"/")
				if !ok {
					continue
				}
				want, err := golden.Raw(name)
				if err != nil {
					t.Fatal(err)
				}
				got, err := merged.Raw(own)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, lazy %v: %s is not PEFT's (%v)", dtype, lazy, own, err)
				}
				if n++; !m.Config.Idle(m.Config.Family.DiskName(own)) {
					t.Errorf("%s is read", own)
				}
				stored, err := from.Raw(own)
				if linear := strings.HasSuffix(own, "_proj.weight") || strings.Contains(own, ".fc") && strings.HasSuffix(own, ".weight"); err != nil || linear == bytes.Equal(stored, want) {
					t.Errorf("%s: PEFT changes it: %v, want %v (%v)", own, !linear, linear, err)
				}
			}
			if n < 6 {
				t.Errorf("%s: %d tensors compared", dtype, n)
			}
			merged.Close()
			from.Close()

			// Merged in memory, the same; without the adapter, the base again.
			if !lazy {
				if err := m.MergeLoRA(); err != nil {
					t.Fatal(err)
				}
				again := t.TempDir()
				if err := m.Save(again, SaveOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := sameFolder(out, again); err != "" {
					t.Errorf("%s, merged in memory: %s", dtype, err)
				}
			}
			if m.Adapter() == nil && m.Carried != nil {
				t.Errorf("%d carried branches stay", len(m.Carried))
			}
			m.Close()
		}
	}
}

// sameFolder names the first tensor that differs.
func sameFolder(a, b string) string {
	x, err := hf.OpenWeights(a)
	if err != nil {
		return err.Error()
	}
	defer x.Close()
	y, err := hf.OpenWeights(b)
	if err != nil {
		return err.Error()
	}
	defer y.Close()
	for _, n := range x.Names() {
		p, _ := x.Raw(n)
		q, err := y.Raw(n)
		if err != nil || !bytes.Equal(p, q) {
			return n
		}
	}
	return ""
}
