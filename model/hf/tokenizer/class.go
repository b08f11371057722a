package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"vgid/model/hf/tokenizer/internal/subword"
)

// tokenizerClass is what a tokenizer class of transformers 5.23 makes of a folder.
type tokenizerClass struct {
	name string
	// defaults are the named tokens of folders that do not mention them.
	defaults map[string]string
	// rebuild puts parts of the class's own in the place of those in
	// tokenizer.json, of which only vocabulary, merges and post-processor count
	// then; nil: the file counts as it stands.
	rebuild func(j *tokenizerJSON, config *object) error
	// plainSpecials: at last every special token is added again without flags.
	plainSpecials bool
}

// asFiled takes tokenizer.json as it stands.
// The name is that of the class in transformers that does so.
var asFiled = tokenizerClass{name: "TokenizersBackend"}

// qwen2Class is that of Qwen2, Qwen2-VL and Qwen2.5-VL.
var qwen2Class = tokenizerClass{
	name:     "Qwen2Tokenizer",
	defaults: map[string]string{"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
	rebuild:  rebuildQwen2, plainSpecials: true,
}

// llamaClass is that of Llama 1 and 2, whose later models are byte-level.
var llamaClass = tokenizerClass{
	name:     "LlamaTokenizer",
	defaults: map[string]string{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
	rebuild:  rebuildLlama,
}

// classOf are the classes of model types (models/auto/tokenization_auto.py).
var classOf = map[string]tokenizerClass{
	"llava": asFiled, "llava_next": asFiled, "vipllava": asFiled, "qwen2": qwen2Class,
	"qwen2_vl": qwen2Class, "qwen2_5_vl": qwen2Class, "qwen3": qwen2Class, "qwen3_vl": qwen2Class,
}

// misnamed are model types whose folders are known to name a wrong class, so
// that what they name does not count.
var misnamed = map[string]bool{"llava": true, "llava_next": true, "vipllava": true, "qwen2": true}

// class picks the class as AutoTokenizer does. The notice, where it is not empty,
// tells that transformers may build another tokenizer.
// tokenizer_config.json goes before config.json, and both before the model type, unless its folders
// are known to be wrong.
func (f *folder) class(tokenizerJSON []byte) (c tokenizerClass, notice string) {
	named := f.config.text("tokenizer_class")
	if named == "" {
		named = f.model.Class
	}
	named = strings.TrimSuffix(named, "Fast")
	own, known := classOf[f.model.Type]
	switch {
	// Folders of Llama 3 that name the class of Llama 2, whose parts would spell words in another
	// alphabet.
	case named == "LlamaTokenizer" && !misnamed[f.model.Type] && bytes.Contains(tokenizerJSON, []byte(`"ByteLevel"`)):
		return asFiled, ""
	case known && (named == "" || misnamed[f.model.Type]):
		return own, ""
	case named == "":
		return asFiled, ""
	}
	switch named {
	case qwen2Class.name:
		return qwen2Class, ""
	case llamaClass.name:
		return llamaClass, ""
	case asFiled.name, "PreTrainedTokenizer", "PythonBackend":
		return asFiled, ""
	}
	return asFiled, fmt.Sprintf("%s: tokenizer_class %q is not known here: tokenizer.json is taken as it stands, where transformers may build parts of its own", f.dir, named)
}

// qwen2Split is how Qwen2Tokenizer cuts text into words.
const qwen2Split = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// rebuildQwen2 is __init__ of Qwen2Tokenizer (tokenization_qwen2.py), which builds its
// parts anew, whatever the file says.
func rebuildQwen2(j *tokenizerJSON, config *object) error {
	prefix, _ := config.truth("add_prefix_space")
	return j.replace("Qwen2Tokenizer", parts{
		Normalizer: map[string]any{"type": "NFC"},
		PreTokenizer: map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": qwen2Split}, "behavior": "Isolated", "invert": false},
			map[string]any{"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": false},
		}},
		Decoder: map[string]any{"type": "ByteLevel"},
		Model:   map[string]any{"fuse_unk": false, "byte_fallback": false},
	})
}

// rebuildLlama is __init__ of LlamaTokenizer (tokenization_llama.py). "legacy" is how older
// releases put the mark of a space: before each piece between special tokens, too.
func rebuildLlama(j *tokenizerJSON, config *object) error {
	prefix, there := config.truth("add_prefix_space")
	prefix = prefix || !there
	scheme := "never"
	if prefix {
		scheme = "first"
		if legacy, _ := config.truth("legacy"); legacy {
			scheme = "always"
		}
	}
	decoders := []any{
		map[string]any{"type": "Replace", "pattern": map[string]any{"String": "▁"}, "content": " "},
		map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"},
	}
	if prefix {
		decoders = append(decoders, map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	return j.replace("LlamaTokenizer", parts{
		PreTokenizer: map[string]any{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false},
		Decoder:      map[string]any{"type": "Sequence", "decoders": decoders},
		Model:        map[string]any{"fuse_unk": true, "byte_fallback": true},
	})
}

// parts are those that a class brings.
// One that is nil becomes null in the file, which is none of that kind.
type parts struct {
	Normalizer, PreTokenizer, Decoder any
	Model                             map[string]any
}

// replace leaves vocabulary, merges and post-processor.
// The file's own flags of the model, such as ignore_merges, are lost by it, as in transformers.
func (j *tokenizerJSON) replace(class string, p parts) error {
	kind, err := subword.ModelType(j.Model)
	if err != nil {
		return err
	}
	if kind != "BPE" {
		return fmt.Errorf("tokenizer_class %s is a BPE model, the model in the file is of type %q: the folder's files do not belong together", class, kind)
	}
	var old struct {
		Vocab  json.RawMessage `json:"vocab"`
		Merges json.RawMessage `json:"merges"`
	}
	if err := json.Unmarshal(j.Model, &old); err != nil {
		return err
	}
	// Vocabulary and merges are handed on as they are written: megabytes, of which nothing has to
	// be read here.
	p.Model["type"], p.Model["vocab"], p.Model["merges"] = "BPE", old.Vocab, old.Merges
	for _, part := range []struct {
		to   *json.RawMessage
		from any
	}{{&j.Normalizer, p.Normalizer}, {&j.PreTokenizer, p.PreTokenizer}, {&j.Decoder, p.Decoder}, {&j.Model, p.Model}} {
		if *part.to, err = json.Marshal(part.from); err != nil {
			return err
		}
	}
	return nil
}
