//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/vgid/folder"
	"vgid/vgid/quickstart"
)

func TestInspect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := quickstart.Extract(dir); err != nil {
		t.Fatal(err)
	}
	table := must(t, program, "inspect", "--model", dir, "--batch", "2")
	for _, want := range []string{dir, "llava", "2048 tokens", "byte-level BPE", "CLIP, to 48×48", "no template", "BF16: 98 tensors", "layers.*.self_attn.q_proj [0…3]", "2 × 144 tokens", "lora step, recompute", "fits"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
	if strings.Contains(table, "PROBLEM") {
		t.Errorf("a sound folder has problems:\n%s", table)
	}

	ask := func(more ...string) (r folder.Inspection) {
		t.Helper()
		if err := json.Unmarshal([]byte(must(t, program, append([]string{"inspect", "--json", "--model", dir}, more...)...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	lora, full := ask("--targets", "*language_model*.q_proj", "--r", "4"), ask("--full")
	if len(lora.Modules) != 4 || lora.Steps[2].Parameters != 4*4*(128+128) {
		t.Errorf("%d parameters in %v", lora.Steps[2].Parameters, lora.Modules)
	}
	all := 0
	for _, p := range full.Parts {
		if p.Part != "unused" {
			all += p.Parameters
		}
	}
	if n := full.Steps[4].Parameters; n != all || full.Steps[4].Missing != 0 {
		t.Errorf("%d parameters are trained, the parts have %d; %d bytes are missing", n, all, full.Steps[4].Missing)
	}
	// A GPU reads its weights into memory, keeps bfloat16 where it is told to, and
	// is as large as is said, of which 1 GiB is the driver's.
	wide, narrow := ask("--batch", "96", "--device", "cuda", "--memory", "1064MiB"), ask("--batch", "96", "--device", "cuda", "--memory", "1064MiB", "--precision", "bfloat16")
	for i, s := range wide.Steps {
		n := narrow.Steps[i]
		if s.Mapped != 0 || n.Trained != s.Trained || s.Step != "load" && n.Activations >= s.Activations {
			t.Errorf("%s: %+v, in bfloat16 %+v", s.Step, s, n)
		}
		if want := max(0, s.Total-40<<20); wide.Memory != 1064<<20 || s.Missing != want {
			t.Errorf("%s: %d of %d bytes are missing, want %d", s.Step, s.Missing, wide.Memory, want)
		}
	}
	// What only some commands need is a problem, not an error.
	remove(t, filepath.Join(dir, "tokenizer.json"))
	edit(t, filepath.Join(dir, "preprocessor_config.json"), "CLIPImageProcessor", "OtherProcessor")
	if r := ask(); len(r.Problems) != 2 || r.Tokenizer != "" || r.Images != "" {
		t.Errorf("problems %q", r.Problems)
	}
}

// An adapter that is given says what is trained; it is checked on its base.
func TestInspectAdapter(t *testing.T) {
	out := t.TempDir()
	must(t, program, append([]string{"unlearn"}, flags(out, map[string]string{"unlearn.steps": "1"})...)...)
	adapter := filepath.Join(out, "r", "unlearned", "adapter")
	var r folder.Inspection
	if err := json.Unmarshal([]byte(must(t, program, "inspect", "--json", "--model", world.Model, "--adapter", adapter)), &r); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(adapter, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Steps[2].Parameters; n == 0 || int64(4*n) > st.Size() || int64(4*n) < st.Size()/2 || len(r.Modules) == 0 {
		t.Errorf("%d parameters in %v, the file has %d bytes", n, r.Modules, st.Size())
	}
}

// Steps are those of the method that is asked for: without a teacher there is nothing
// to hold of one.
func TestInspectByMethod(t *testing.T) {
	full := func(args ...string) int64 {
		var r struct {
			Steps []struct {
				Step  string
				Total int64
			}
		}
		args = append([]string{"inspect", "--json", "--model", "builtin:quickstart", "--full"}, args...)
		if err := json.Unmarshal([]byte(must(t, program, args...)), &r); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Steps {
			if s.Step == "full step" {
				return s.Total
			}
		}
		t.Fatalf("%+v", r)
		return 0
	}
	vgid, npo, diff := full(), full("--method", "npo"), full("--method", "graddiff")
	if vgid != full("--method", "vgid") || diff >= npo || diff >= vgid {
		t.Errorf("a full step takes %d bytes with vgid, %d with npo, %d with graddiff, which keeps no second copy of the model", vgid, npo, diff)
	}
	p := toEnd(t, program, "inspect", "--model", "builtin:quickstart", "--method", "nop")
	if want := `inspect: --method: "nop" is not one of vgid, graddiff, npo`; p.wait() == 0 || !strings.Contains(p.err.String(), want) {
		t.Errorf("%s, want %s", p.err.String(), want)
	}
}
