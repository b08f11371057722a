//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vgid/model/hf"
)

// tensorsOf are the tensors of a model folder.
func tensorsOf(t *testing.T, dir string) []hf.NamedTensor {
	t.Helper()
	w, err := hf.OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var out []hf.NamedTensor
	for _, n := range w.Names() {
		info, _ := w.Info(n)
		x := hf.NamedTensor{Name: n, Shape: info.Shape, DType: info.DType, Data: make([]float32, info.Elements())}
		if err := w.ReadF32(n, x.Data); err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// copied is a copy of the small world's model.
func copied(t *testing.T, dir string) string {
	t.Helper()
	m := filepath.Join(dir, "model")
	if err := os.CopyFS(m, os.DirFS(world.Model)); err != nil {
		t.Fatal(err)
	}
	return m
}

// rewritten is a copy whose weights f changed, in files of at most shard bytes.
func rewritten(t *testing.T, dir string, shard int64, f func([]hf.NamedTensor) []hf.NamedTensor) string {
	t.Helper()
	m := copied(t, dir)
	if err := hf.WriteWeights(m, f(tensorsOf(t, m)), shard); err != nil {
		t.Fatal(err)
	}
	return m
}

// poisoned is a copy in whose tensor the first value is NaN: put into the file,
// since nothing here writes one.
func poisoned(t *testing.T, dir, tensor string) string {
	t.Helper()
	m := copied(t, dir)
	path := filepath.Join(m, "model.safetensors")
	b := read(t, path)
	n := 8 + int(binary.LittleEndian.Uint64(b))
	var head map[string]struct {
		DType   string `json:"dtype"`
		Offsets []int  `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:n], &head); err != nil || head[tensor].DType != "F32" {
		t.Fatalf("%s: tensor %q is %+v, %v", path, tensor, head[tensor], err)
	}
	binary.LittleEndian.PutUint32(b[n+head[tensor].Offsets[0]:], math.Float32bits(float32(math.NaN())))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// poison is where TestBadInputs puts its NaN, and what is said of it.
const poison = "language_model.model.layers.0.self_attn.q_proj.weight"

var poisonTold = []string{"the model's logits are not finite (NaN/Inf)", "its weights hold NaN or Inf", `tensor "` + poison + `", 1 of `, "take a checkpoint from before it diverged"}

func unchanged(l []hf.NamedTensor) []hf.NamedTensor { return l }

// shardOf is a weight file of a folder that has several.
func shardOf(t *testing.T, dir string, i int) string {
	t.Helper()
	s, err := filepath.Glob(filepath.Join(dir, "model-*-of-*.safetensors"))
	if err != nil || len(s) <= i {
		t.Fatalf("weight files %v, %v", s, err)
	}
	return s[i]
}

// onSharded is a command on a copy of the model in several files that f breaks.
func onSharded(f func(t *testing.T, m string), command string, more ...string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		m := rewritten(t, dir, 40000, unchanged)
		f(t, m)
		return append([]string{command, "--model", m}, more...)
	}
}

// adapterOf trains an adapter of the small world's model for one step.
func adapterOf(t *testing.T, dir string) string {
	t.Helper()
	must(t, program, append([]string{"unlearn"}, flags(dir, map[string]string{"unlearn.steps": "1"})...)...)
	return filepath.Join(dir, "r", "unlearned", "adapter")
}

// What can be wrong with weights and adapters, tried on the commands that take
// any model.
func init() {
	missing := func(t *testing.T, m string) { remove(t, shardOf(t, m, 1)) }
	badInputs = append(badInputs, []badInput{
		{"inspect a missing shard", onSharded(missing, "inspect"),
			[]string{"model.safetensors.index.json: shard model-00002-of-", "is missing (it holds tensor", "fetch it, too"}},
		{"forward of a missing shard", onSharded(missing, "forward", "--prompt", "a", "--out", "/nowhere/f"),
			[]string{"model.safetensors.index.json: shard model-00002-of-", "fetch it, too"}},
		{"generate from half a shard", onSharded(func(t *testing.T, m string) { truncate(t, shardOf(t, m, 1), 20000) }, "generate", "--prompt", "a"),
			[]string{"model-00002-of-", "truncated: tensor", "the file has", "fetch or write the file again"}},
		{"a shard in the place of another", onSharded(func(t *testing.T, m string) {
			if err := os.WriteFile(shardOf(t, m, 1), read(t, shardOf(t, m, 0)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "inspect"), []string{"model.safetensors.index.json: tensor ", "is in model-00002-of-", "the index says model-00001-of-"}},
		{"an index without its tensor", onSharded(func(t *testing.T, m string) {
			edit(t, filepath.Join(m, "model.safetensors.index.json"), "multi_modal_projector.linear_1.bias", "multi_modal_projector.linear_9.bias")
		}, "inspect"), []string{`model.safetensors.index.json: tensor "multi_modal_projector.linear_9.bias" is not in its shard model-`}},
		{"a weight under two names", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				i := slices.IndexFunc(l, func(x hf.NamedTensor) bool { return x.Name == "multi_modal_projector.linear_1.bias" })
				again := l[i]
				again.Name = "model." + again.Name // as transformers 5 has it in memory
				return append(l, again)
			})}
		}, []string{`"model.multi_modal_projector.linear_1.bias"`, "are the same weight"}},
		{"a weight of another shape", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				i := slices.IndexFunc(l, func(x hf.NamedTensor) bool { return x.Name == "multi_modal_projector.linear_1.bias" })
				l[i].Shape = []int{1, len(l[i].Data)}
				return l
			})}
		}, []string{`tensor "multi_modal_projector.linear_1.bias" has shape [1 32], config.json asks for [32]`}},
		{"a weight that is missing", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor { return slices.Delete(l, 1, 2) })}
		}, []string{"model: tensor ", "is missing"}},
		{"weights in 8-bit floats", func(t *testing.T, dir, out string) []string {
			m := copied(t, dir)
			var list []hf.Stream
			for _, x := range tensorsOf(t, m) {
				list = append(list, hf.Stream{Name: x.Name, TensorInfo: hf.TensorInfo{DType: "F8_E4M3", Shape: x.Shape}, Raw: func() ([]byte, error) { return make([]byte, len(x.Data)), nil }})
			}
			if err := hf.WriteStreams(filepath.Join(m, "model.safetensors"), list, nil); err != nil {
				t.Fatal(err)
			}
			return []string{"inspect", "--model", m}
		}, []string{"tensor ", "has dtype F8_E4M3, which is not implemented", "use a model in float32, bfloat16 or float16"}},
		{"a folder in 4 bits", func(t *testing.T, dir, out string) []string {
			m := copied(t, dir)
			edit(t, filepath.Join(m, "config.json"), `"model_type"`, `"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}, "model_type"`)
			return unlearnWith(out, map[string]string{"model.base": m})
		}, []string{`config.json: quantization_config: the weights are quantised (quant_method "bitsandbytes", load_in_4bit true, bnb_4bit_quant_type "nf4")`}},
		{"a 4-bit folder whose config.json does not say so", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				return append(l, hf.NamedTensor{Name: poison + ".absmax", Shape: []int{1}, DType: "F32", Data: []float32{1}})
			})}
		}, []string{poison + `.absmax" belongs to a quantised layer`, "use the model it was made from"}},
		{"a folder of pickles", func(t *testing.T, dir, out string) []string {
			m := copied(t, dir)
			if err := os.Rename(filepath.Join(m, "model.safetensors"), filepath.Join(m, "pytorch_model.bin")); err != nil {
				t.Fatal(err)
			}
			return []string{"generate", "--model", m, "--prompt", "a"}
		}, []string{"holds its weights as a pickle (pytorch_model.bin), which is not read: convert them with transformers"}},
		{"a tokenizer that git-lfs did not fetch", func(t *testing.T, dir, out string) []string {
			m := copied(t, dir)
			if err := os.WriteFile(filepath.Join(m, "tokenizer.json"), []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1842767\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"generate", "--model", m, "--prompt", "a"}
		}, []string{"tokenizer.json: a git-lfs pointer that stands for a file of 1842767 bytes", "git lfs pull"}},
		{"an adapter as the model", func(t *testing.T, dir, out string) []string {
			return []string{"generate", "--model", adapterOf(t, dir), "--prompt", "a"}
		}, []string{"is a PEFT adapter of ", "not a model: give its base as the model and this folder with --adapter, or merge the two first (vgid merge)"}},
		{"a model as the adapter", func(t *testing.T, dir, out string) []string {
			return []string{"merge", "--model", world.Model, "--adapter", copied(t, dir), "--out", out}
		}, []string{"is a model, not a PEFT adapter"}},
		{"merge of an adapter of other weights", func(t *testing.T, dir, out string) []string {
			m := rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				for _, x := range l {
					for i := range x.Data {
						x.Data[i] = 2*x.Data[i] + 1
					}
				}
				return l
			})
			return []string{"merge", "--model", m, "--adapter", adapterOf(t, dir), "--out", out}
		}, []string{"the adapter was made for another base model", "than this one (fingerprint", "give the model it was trained on, or --any-base"}},
		{"merge to a full disk", func(t *testing.T, dir, out string) []string {
			adapter, full := adapterOf(t, dir), filepath.Join(dir, "full")
			if err := os.Mkdir(full, 0o755); err != nil {
				t.Fatal(err)
			}
			mount(t, full, 0, "size=200k") // the model takes more
			return []string{"merge", "--model", world.Model, "--adapter", adapter, "--out", filepath.Join(full, "m")}
		}, []string{"model.safetensors", "no space left on device", "free some space"}},
		{"weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return unlearnWith(out, map[string]string{"model.base": poisoned(t, dir, poison)})
		}, append([]string{"unlearned: the ", "loss is NaN before the first update"}, poisonTold...)},
		{"full training of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return unlearnWith(out, map[string]string{"model.base": poisoned(t, dir, poison), "unlearn.lora.r": "0"})
		}, append([]string{"unlearned: the ", "loss is NaN before the first update"}, poisonTold...)},
		{"gradients that overflow beside a finite loss", func(t *testing.T, dir, out string) []string {
			m := rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				for _, x := range l {
					by := map[string]float32{"language_model.model.norm.weight": 1e-25, "language_model.lm_head.weight": 1e25}[x.Name]
					for i := range x.Data {
						if by != 0 {
							x.Data[i] *= by
						}
					}
				}
				return l
			})
			return unlearnWith(out, map[string]string{"model.base": m, "unlearn.lora.r": "0"})
		}, []string{"unlearned, step 1: the norm of the gradient is +Inf: lower the learning rate"}},
		{"an answer of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return []string{"generate", "--model", poisoned(t, dir, poison), "--prompt", "a"}
		}, poisonTold},
		{"answers to a file of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			in := filepath.Join(dir, "q.jsonl")
			if err := os.WriteFile(in, []byte("\n{\"prompt\": \"a\"}\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"generate", "--model", poisoned(t, dir, poison), "--in", in, "--out", filepath.Join(dir, "a.jsonl")}
		}, append([]string{"q.jsonl, line 2: the model's logits"}, poisonTold...)},
		{"the teacher's answers of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return unlearnWith(out, map[string]string{"model.base": poisoned(t, dir, poison), "unlearn.responses": "rollout"})
		}, append([]string{"unlearned, step 1: the teacher's own answer to \""}, poisonTold...)},
		{"a drawn answer of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return []string{"generate", "--model", poisoned(t, dir, poison), "--prompt", "a", "--temperature", "1"}
		}, poisonTold},
		{"logits of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return []string{"forward", "--model", poisoned(t, dir, poison), "--prompt", "a", "--out", filepath.Join(dir, "f")}
		}, poisonTold},
		{"evaluation of weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return append([]string{"eval", "--model", poisoned(t, dir, poison)}, flags(out, nil)...)
		}, append([]string{"evaluation, rank 0: item ", "(forget, "}, poisonTold...)},
		{"merge into weights that are no numbers", func(t *testing.T, dir, out string) []string {
			return []string{"merge", "--model", poisoned(t, dir, poison), "--adapter", adapterOf(t, dir), "--any-base", "--out", out}
		}, []string{"vgid: merge of ", "/model: tensor \"" + poison + `": 1 of `, "are not finite (NaN/Inf): nothing is written"}},
		{"merge that overflows float16", func(t *testing.T, dir, out string) []string {
			m := rewritten(t, dir, 0, func(l []hf.NamedTensor) []hf.NamedTensor {
				i := slices.IndexFunc(l, func(x hf.NamedTensor) bool { return x.Name == "multi_modal_projector.linear_1.bias" })
				l[i].Data[0], l[i].Data[3] = 7e4, -1e6
				return l
			})
			return []string{"merge", "--model", m, "--adapter", adapterOf(t, dir), "--any-base", "--dtype", "float16", "--out", out}
		}, []string{`tensor "multi_modal_projector.linear_1.bias": 2 of 32 values overflow float16 (the largest is 1e+06)`, "choose bfloat16 or float32"}},
		{"forward to a pipe", func(t *testing.T, dir, out string) []string {
			pipe := filepath.Join(dir, "pipe")
			if err := unix.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"forward", "--model", world.Model, "--prompt", "a", "--out", pipe}
		}, []string{"pipe is no regular file and would be replaced by one"}},
		{"forward to a folder", func(t *testing.T, dir, out string) []string {
			return []string{"forward", "--model", world.Model, "--prompt", "a", "--out", dir}
		}, []string{"is a folder; name a file"}},
		{"inspect an empty folder", line("inspect", "--model", "DIR"), []string{"config.json: no such file", "give the folder of a Hugging Face model"}},
		{"inspect no model", line("inspect"), []string{"inspect: --model is missing"}},
		{"inspect for no sequence", line("inspect", "--model", "DIR", "--batch", "0"), []string{"inspect: --batch 0: must be at least 1"}},
		{"inspect too few tokens", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", world.Model, "--tokens", "2"}
		}, []string{"2 tokens are too few for", "of 1 images"}},
		{"inspect another storage", func(t *testing.T, dir, out string) []string {
			return []string{"inspect", "--model", world.Model, "--dtype", "float8"}
		}, []string{`weights "float8" cannot be kept`, "use auto, float32 or bfloat16"}},
	}...)
}
