package hf

import (
	"path/filepath"
	"testing"

	"vgid/model/kit/hftest"
)

func TestFoldersOfOtherKindsAreNamed(t *testing.T) {
	type files = map[string]string
	one := func(names ...string) files {
		f := files{}
		for _, n := range names {
			f[n] = "x"
		}
		return f
	}
	for _, c := range []struct {
		name    string
		files   files
		config  string // what is said without a config.json; empty where there is one
		weights string // what is said of the weights
	}{
		{"a pickle", one("config.json", "pytorch_model.bin"), "", "holds its weights as a pickle (pytorch_model.bin), which is not read: convert them with transformers"},
		{"pickles", one("config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"), "", "as pickles"},
		{"of the authors", one("params.json", "consolidated.00.pth", "tokenizer.model"), "has no config.json and holds weights in the layout of their authors", "consolidated"},
		{"TensorFlow", one("config.json", "tf_model.h5"), "", "TensorFlow only"},
		{"Flax", one("config.json", "flax_model.msgpack"), "", "Flax only"},
		{"GGUF", one("ggml-model-q4_k.gguf", "mmproj-model-f16.gguf"), "holds a GGUF file", "holds a GGUF file"},
		{"diffusers", one("model_index.json", "unet/config.json"), "a pipeline of diffusers", ""},
		{"an adapter", files{"adapter_config.json": `{"base_model_name_or_path": "org/base"}`, "adapter_model.safetensors": "x"}, "is a PEFT adapter of org/base, not a model: give its base as the model", ""},
		{"an adapter of nobody", files{"adapter_config.json": `{`}, "is a PEFT adapter, not a model", ""},
		{"a cache", one("snapshots/0123/config.json", "refs/main"), "the hub's cache: give the one below snapshots", ""},
		{"one folder too high", one("llava/config.json"), "but there is one in ", "neither model.safetensors nor"},
		{"nothing", files{}, "config.json: no such file; give the folder", "neither model.safetensors nor"},
		{"config only", one("config.json"), "", "neither model.safetensors nor"},
		{"shards without an index", one("config.json", "model-00001-of-00003.safetensors"), "", "fetch the index with every file it names"},
		{"a variant", one("config.json", "model.fp16.safetensors"), "", "has to be called model.safetensors"},
		{"DeepSpeed", one("latest", "zero_to_fp32.py", "global_step10/x.pt"), "holds a DeepSpeed checkpoint", "zero_to_fp32.py"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := hftest.FolderOf(t, c.files)
			if c.config != "" {
				hftest.WantError(t, NoConfig(dir), c.config)
				hftest.WantError(t, NoConfig(dir), dir)
			}
			if c.weights != "" {
				_, err := OpenWeights(dir)
				hftest.WantError(t, err, c.weights)
				hftest.WantError(t, err, dir)
			}
		})
	}
	hftest.WantError(t, NoConfig("/nowhere/at/all"), "/nowhere/at/all: no such file or directory; give the folder")
	file := filepath.Join(hftest.FolderOf(t, one("model.safetensors")), "model.safetensors")
	hftest.WantError(t, NoConfig(file), "is a file; give the folder")
}

func TestFilesThatAreOthersAreNamed(t *testing.T) {
	for content, want := range map[string]string{
		hftest.LFSPointer:   "model.safetensors is a git-lfs pointer that stands for a file of 4976698672 bytes; fetch that with",
		"<!DOCTYPE html>\n": "model.safetensors is a web page",
		"PK\x03\x04rest":    "model.safetensors is a zip archive, as PyTorch writes pickles",
	} {
		_, err := OpenWeights(hftest.FolderOf(t, map[string]string{"model.safetensors": content}))
		hftest.WantError(t, err, want)
	}
	_, err := OpenWeights(hftest.FolderOf(t, map[string]string{"model.safetensors.index.json": hftest.LFSPointer}))
	hftest.WantError(t, err, "model.safetensors.index.json: a git-lfs pointer")
	_, err = ReadGenerationConfig(hftest.FolderOf(t, map[string]string{"generation_config.json": hftest.LFSPointer}))
	hftest.WantError(t, err, "generation_config.json: a git-lfs pointer")
}
