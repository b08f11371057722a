package folder

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model"
	"vgid/model/adapter"
	"vgid/model/cpu"
	"vgid/model/dry"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
	"vgid/model/plan"
)

// Models with an adapter of PEFT's, as model's goldens have them.
const golden = "../../model/testdata/golden/"

// still is a training whose steps take no memory.
type still struct{}

func (still) Step(context.Context, []model.Sequence, int) error { return nil }
func (still) Close()                                            {}

func options() InspectOptions {
	return InspectOptions{
		LoRA: adapter.Config{R: 2, Alpha: 4, Targets: []string{"q_proj"}}, Batch: 1, Side: 8, New: 2,
		Device: dry.CPU(), Kind: "cpu", Free: 1 << 40, Memory: 1 << 40,
		Training: func(_ context.Context, _ *model.Model, _ bool, choose func() error) (plan.Trained, error) {
			return still{}, choose()
		},
	}
}

// What an inspection lists is what the files hold, and what work would train.
func TestInspectGoldens(t *testing.T) {
	for _, name := range []string{"llava_mha", "qwen25_mha", "qwen2_gqa_tied_flat"} {
		dir := golden + name
		d := modeldir.Open(dir)
		defer d.Close()
		bytes, weights := int64(0), 0
		f, err := hf.OpenSafetensors(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range f.Names() {
			info, _ := f.Info(n)
			bytes, weights = bytes+info.Bytes(), weights+info.Elements()
		}
		tensors := len(f.Names())
		f.Close()

		o := options()
		r, err := Inspect(t.Context(), d, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(r.Files) != 1 || r.Files[0].Tensors != tensors || len(r.Types) != 1 || r.Types[0].Tensors != tensors || r.Types[0].Bytes != bytes {
			t.Errorf("%s: files %v of types %v, want %d tensors of %d bytes", name, r.Files, r.Types, tensors, bytes)
		}
		sum := 0
		for _, p := range r.Parts {
			sum += p.Parameters
		}
		if sum != weights {
			t.Errorf("%s: the parts have %d weights, the file %d", name, sum, weights)
		}
		// A folder of weights alone can be merged: what it lacks is a problem and no error.
		if r.Tokenizer != "" || r.Images != "" || r.ChatTemplate || !strings.Contains(strings.Join(r.Problems, "\n"), "tokenizer.json") {
			t.Errorf("%s: tokenizer %q, images %q, problems %q", name, r.Tokenizer, r.Images, r.Problems)
		}
		for _, m := range r.Modules {
			if !strings.HasSuffix(m, "q_proj") {
				t.Errorf("%s: %s is trained", name, m)
			}
		}
		for _, s := range r.Steps {
			if s.Missing != 0 {
				t.Errorf("%s: %s lacks %d of 1 TiB", name, s.Step, s.Missing)
			}
		}

		// An adapter that is given says what is trained, whatever else is said.
		o.Adapter, o.Full, o.Free = dir+"/adapter", true, 0
		given, err := Inspect(t.Context(), d, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(given.Trained, "the adapter "+o.Adapter+", r=") || len(given.Modules) == 0 {
			t.Errorf("%s: %s of %v", name, given.Trained, given.Modules)
		}
		for _, s := range given.Steps { // where memory counts when it is written to
			if s.Missing != s.Written {
				t.Errorf("%s: %s lacks %d of the %d bytes that it writes to, of none", name, s.Step, s.Missing, s.Written)
			}
		}
		o.Adapter = ""
		full, err := Inspect(t.Context(), d, o)
		if err != nil || full.Trained != "all weights" || len(full.Modules) <= len(r.Modules) {
			t.Errorf("%s: %s: %d weights, %v", name, full.Trained, len(full.Modules), err)
		}
	}
}

// What makes a folder unusable is an error that names the file or the target.
func TestInspectRefuses(t *testing.T) {
	empty := modeldir.Open(t.TempDir())
	defer empty.Close()
	if _, err := Inspect(t.Context(), empty, options()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
	d := modeldir.Open(golden + "llava_mha")
	defer d.Close()
	for name, tc := range map[string]struct {
		change func(*InspectOptions)
		want   string
	}{
		"a target that is none":   {func(o *InspectOptions) { o.LoRA.Targets = []string{"z_proj"} }, `pattern "z_proj" matches no linear layer`},
		"another's adapter":       {func(o *InspectOptions) { o.Adapter = golden + "qwen25_mha/adapter" }, "qwen25_mha/adapter"},
		"an adapter that is none": {func(o *InspectOptions) { o.Adapter = golden }, "adapter_config.json"},
	} {
		o := options()
		tc.change(&o)
		if _, err := Inspect(t.Context(), d, o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// A merged folder is a model with the weights that merging in memory gives, and with
// the other files of the base; where it cannot be made, nothing is left.
func TestMerge(t *testing.T) {
	const trained = "../../model/testdata/adapters/all_linear_excluded" // whose B is not zero
	name, err := os.ReadFile(filepath.Join(trained, "base.txt"))
	if err != nil {
		t.Fatal(err)
	}
	base := golden + strings.TrimSpace(string(name))
	d := modeldir.Open(base)
	defer d.Close()
	out := filepath.Join(t.TempDir(), "merged")
	if err := Merge(t.Context(), d, trained, out, MergeOptions{DType: "float32"}); err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	defer be.Close()
	values := func(dir, adapter string) map[string][]float32 {
		m, err := model.Load(t.Context(), be, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if adapter != "" {
			if _, err := m.LoadAdapter(adapter, model.AdapterOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := m.MergeLoRA(); err != nil {
				t.Fatal(err)
			}
		}
		all := map[string][]float32{}
		for _, w := range m.Weights {
			v := make([]float32, w.Value.Len())
			if err := be.Download(v, w.Value); err != nil {
				t.Fatal(err)
			}
			all[w.Name] = v
		}
		return all
	}
	before, want, got := values(base, ""), values(base, trained), values(out, "")
	changed := 0
	for name, v := range want {
		for i, x := range v {
			if d := x - got[name][i]; d > 1e-6 || d < -1e-6 {
				t.Fatalf("%s[%d] is %g, merged in memory %g", name, i, got[name][i], x)
			}
		}
		if !slices.Equal(v, before[name]) {
			changed++
		}
	}
	if changed == 0 {
		t.Error("the adapter changes nothing")
	}

	if err := Merge(t.Context(), d, trained, out, MergeOptions{}); err == nil || !strings.Contains(err.Error(), out+": the folder exists and is not empty") {
		t.Errorf("merged into a folder with files: %v", err)
	}
	parent := t.TempDir()
	for name, o := range map[string]MergeOptions{base + "/nowhere": {}, trained: {DType: "int3"}} {
		if err := Merge(t.Context(), d, name, filepath.Join(parent, "m"), o); err == nil {
			t.Errorf("%s with %+v was merged", name, o)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
