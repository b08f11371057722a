package hf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// AdapterConfigName is the file by which a folder is known for a PEFT adapter.
const AdapterConfigName = "adapter_config.json"

// PEFTPrefix is where PEFT holds the model that it wraps. It begins every tensor
// name in an adapter file; behind it comes the module's path in memory, under
// transformers 5 or, in older adapters, 4.
const PEFTPrefix = "base_model.model."

// otherFormats are the weight files of formats that are not read, and what to
// do about them, in the order in which they say most.
var otherFormats = []struct{ pattern, what string }{
	{"pytorch_model*.bin.index.json", "holds its weights as pickles (pytorch_model-….bin), which are not read: " + convert},
	{"pytorch_model*.bin", "holds its weights as a pickle (pytorch_model.bin), which is not read: " + convert},
	{"model*.safetensors", "has weight files but not model.safetensors or model.safetensors.index.json: fetch the index with every file it names; a single file of another name has to be called model.safetensors"},
	{"consolidated*", "holds weights in the layout of their authors (consolidated…); take the same model in Hugging Face's layout (often named …-hf)"},
	{"*.gguf", "holds a GGUF file, which is not read; take the model it was made from, in safetensors"},
	{"tf_model*", "holds weights for TensorFlow only; " + convert},
	{"flax_model*", "holds weights for Flax only; " + convert},
	{"*.onnx", "holds an ONNX graph, which is not read; take the model in safetensors"},
	{"*.pth", "holds pickles (.pth), which are not read; take the model in safetensors"},
	{"*.pt", "holds pickles (.pt), which are not read; take the model in safetensors"},
	{"*.ckpt", "holds pickles (.ckpt), which are not read; take the model in safetensors"},
	{"*.distcp", "holds a distributed checkpoint (.distcp); save the whole model from it, as safetensors"},
	{"latest", "holds a DeepSpeed checkpoint; run its zero_to_fp32.py with --safe_serialization"},
}

// convert is how weights of transformers become safetensors.
const convert = `convert them with transformers (AutoModelForImageTextToText.from_pretrained(DIR, dtype="auto").save_pretrained(NEW), then copy tokenizer and processor files)`

// AdapterError refuses a folder that was given as a model and holds a PEFT
// adapter. How a program takes an adapter beside its base is the program's to add.
type AdapterError struct {
	Dir  string
	Base string // base_model_name_or_path of adapter_config.json; empty where it says none
}

func (e *AdapterError) Error() string {
	of := ""
	if e.Base != "" {
		of = " of " + e.Base
	}
	return fmt.Sprintf("%s is a PEFT adapter%s, not a model: give its base as the model", e.Dir, of)
}

// NoConfig says what is wrong with a folder that was given as a model and has
// no config.json.
func NoConfig(dir string) error {
	if st, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w; give the folder of a Hugging Face model", err)
	} else if !st.IsDir() {
		return fmt.Errorf("%s is a file; give the folder of a Hugging Face model", dir)
	}
	switch {
	case Holds(dir, AdapterConfigName):
		return &AdapterError{Dir: dir, Base: baseOf(dir)}
	case Holds(dir, "model_index.json"):
		return fmt.Errorf("%s is a pipeline of diffusers, not a vision-language model", dir)
	case Holds(dir, "snapshots/*"):
		return fmt.Errorf("%s is a folder of the hub's cache: give the one below snapshots, or the model's name", dir)
	}
	if what := otherFormat(dir); what != "" {
		return fmt.Errorf("%s has no config.json and %s", dir, what)
	}
	inside := ""
	if inner := below(dir, "config.json"); inner != "" {
		inside = ", but there is one in " + inner
	}
	return fmt.Errorf("%s: no such file%s; give the folder of a Hugging Face model", filepath.Join(dir, "config.json"), inside)
}

// noWeights says what is wrong with a folder that has no weights to be read.
func noWeights(dir string) error {
	if what := otherFormat(dir); what != "" {
		return fmt.Errorf("%s %s", dir, what)
	}
	return fmt.Errorf("%s: neither %s nor %s found; give the folder that holds the weights", dir, singleName, indexName)
}

// otherFormat says which weights a folder holds instead, empty for none.
// Where weights that are read lie beside others, the others do not matter.
func otherFormat(dir string) string {
	if Holds(dir, singleName) || Holds(dir, indexName) {
		return ""
	}
	for _, f := range otherFormats {
		if Holds(dir, f.pattern) {
			return f.what
		}
	}
	return ""
}

// Holds reports whether files of a folder match a pattern.
// The folder's own name is taken literally, whatever signs are in it.
func Holds(dir, pattern string) bool {
	hits, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
	return err == nil && len(hits) > 0
}

// below is the first folder in dir that has the file, empty for none.
func below(dir, file string) string {
	inner, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*", file))
	if err != nil || len(inner) == 0 {
		return ""
	}
	slices.Sort(inner)
	return filepath.Dir(inner[0])
}

// baseOf names the base model that an adapter's config gives. It is for an error
// line, so that a config which cannot be read names none.
func baseOf(dir string) string {
	var c struct {
		Base string `json:"base_model_name_or_path"`
	}
	b, err := os.ReadFile(filepath.Join(dir, AdapterConfigName))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return ""
	}
	return c.Base
}

// NoAdapter says what a folder is that was given as an adapter.
func NoAdapter(dir string, err error) error {
	if Holds(dir, "config.json") {
		return fmt.Errorf("%s is a model, not a PEFT adapter: it has config.json and no %s; give it as the model, or the adapter's own folder", dir, AdapterConfigName)
	}
	inside := ""
	if inner := below(dir, AdapterConfigName); inner != "" {
		inside = ", but there is one in " + inner
	}
	return fmt.Errorf("%w%s; give the folder of a PEFT adapter", err, inside)
}
