// Package peft reads and writes the adapter folders of PEFT 0.21 and decides about
// modules as it does: adapter_config.json with its rules, adapter_model.safetensors
// with its names. It knows paths of modules and no models.
//
// What PEFT would compute otherwise than this program is refused when a config is
// read, by the field's name: a Config that was read or validated is one whose
// every field is either implemented or of no effect.
package peft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"vgid/model/hf"
	"vgid/model/kit/plainjson"
)

const (
	weightsName     = "adapter_model.safetensors"
	llavaTrainables = "non_lora_trainables.bin"
)

// Config is PEFT's adapter_config.json for LoRA.
// Names are LoraConfig's of PEFT 0.21 (peft/tuners/lora/config.py).
type Config struct {
	PeftType          string                 `json:"peft_type"` // LORA
	TaskType          *string                `json:"task_type"`
	BaseModel         string                 `json:"base_model_name_or_path"`
	R                 int                    `json:"r"`
	LoraAlpha         float64                `json:"lora_alpha"`
	LoraDropout       float64                `json:"lora_dropout"`
	TargetModules     ModuleList             `json:"target_modules"` // or the pattern "all-linear"
	ExcludeModules    ModuleList             `json:"exclude_modules"`
	Bias              string                 `json:"bias"`           // none, all or lora_only
	FanInFanOut       bool                   `json:"fan_in_fan_out"` // of no effect: PEFT resets it on linear layers
	UseRSLora         bool                   `json:"use_rslora"`     // scale alpha/√r instead of alpha/r
	UseDora           bool                   `json:"use_dora"`
	ModulesToSave     []string               `json:"modules_to_save"`
	InitWeights       json.RawMessage        `json:"init_lora_weights"` // true, false or a method's name
	RankPattern       ModuleValues[int]      `json:"rank_pattern"`
	AlphaPattern      ModuleValues[float64]  `json:"alpha_pattern"`
	LayersToTransform plainjson.List[int]    `json:"layers_to_transform"`
	LayersPattern     plainjson.List[string] `json:"layers_pattern"`
	EnsureWeightTying bool                   `json:"ensure_weight_tying"`
	InferenceMode     bool                   `json:"inference_mode"`
	Revision          *string                `json:"revision"`
}

// inertFields are fields of PEFT 0.21 that change nothing of a loaded LoRA
// adapter, or nothing without another field.
var inertFields = []string{
	"peft_version", "auto_mapping", "megatron_core", "megatron_config", "qalora_group_size", "loftq_config", "eva_config",
	"corda_config", "lora_ga_config",
	"lorap_lr_ratio", "lorap_emb_lr", // ms-swift: learning rates of LoRA+, which PEFT ignores
}

// harmlessInits draw the first values of an adapter and leave the base weights
// alone. Other methods (pissa, olora, loftq, corda, lora_ga) change those when
// PEFT loads the adapter.
var harmlessInits = []string{"", "null", "true", "false", `"gaussian"`, `"eva"`, `"orthogonal"`, `"mica"`}

// unknownFields names the first field that is set to something and that this
// package knows nothing about: it may change what the adapter computes.
func unknownFields(b []byte) error {
	var all map[string]json.RawMessage
	if err := plainjson.Unmarshal(b, &all); err != nil {
		return err
	}
	known := slices.Clone(inertFields)
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		known = append(known, t.Field(i).Tag.Get("json"))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v := plainjson.OneLine(all[name])
		// A value that is empty, zero or false is taken for a method that is off.
		if !slices.Contains(known, name) && !slices.Contains([]string{"null", "false", "{}", "[]", "0", `""`}, v) {
			return notImplemented(fmt.Sprintf("%s is not implemented (it is %s)", name, v))
		}
	}
	return nil
}

// errMethod refuses adapters of other methods by their name.
func errMethod(peftType string) error {
	return fmt.Errorf("peft_type %q is not supported, only LORA", peftType)
}

// notImplemented says what to do about an adapter that PEFT computes otherwise.
func notImplemented(what string) error {
	return fmt.Errorf("%s; merge the adapter with PEFT (merge_and_unload) and give the merged folder, or train it without", what)
}

// Validate checks what every LoRA adapter needs.
// Errors begin with the field's name in adapter_config.json.
func (c *Config) Validate() error {
	switch {
	case c.PeftType != "LORA":
		return errMethod(c.PeftType)
	case c.R <= 0:
		return fmt.Errorf("r is %d, must be positive", c.R)
	case c.LoraDropout < 0 || c.LoraDropout >= 1:
		return fmt.Errorf("lora_dropout is %v, must be in [0, 1)", c.LoraDropout)
	case c.TargetModules.Empty():
		return errors.New("target_modules is empty")
	case c.TargetModules.Pattern != "" && len(c.TargetModules.Names) > 0:
		return errors.New("target_modules has both names and a pattern")
	case c.Bias != "none" && c.Bias != "all" && c.Bias != "lora_only":
		return fmt.Errorf("bias %q is none of none, all, lora_only", c.Bias)
	case c.UseDora:
		return notImplemented("use_dora is not implemented")
	case !slices.Contains(harmlessInits, string(bytes.TrimSpace(c.InitWeights))):
		return notImplemented(fmt.Sprintf("init_lora_weights %s changes the base weights when PEFT loads the adapter, which is not implemented", c.InitWeights))
	}
	switch {
	case len(c.LayersToTransform) > 0 && c.TargetModules.Pattern != "":
		return errors.New("layers_to_transform belongs to a list of target_modules, not to a pattern")
	case len(c.LayersPattern) > 0 && len(c.LayersToTransform) == 0:
		return errors.New("layers_pattern is given without layers_to_transform")
	}
	for _, e := range c.RankPattern {
		if e.Value <= 0 {
			return fmt.Errorf("rank_pattern %q is %d, must be positive", e.Pattern, e.Value)
		}
	}
	_, err := c.Rules()
	return err
}

// Read reads a PEFT adapter folder. Its tensors are named
// base_model.model.<module path>.lora_A.weight [r, in] and lora_B.weight [out, r].
// The weights are open and the caller's to close; without an error they are never nil.
func Read(dir string) (Config, *hf.Weights, error) {
	c := Config{LoraAlpha: 8, R: 8, Bias: "none"} // PEFT's defaults for absent fields
	path := filepath.Join(dir, hf.AdapterConfigName)
	b, err := os.ReadFile(path)
	if err != nil {
		return c, nil, hf.NoAdapter(dir, err)
	}
	// The method first: fields of other methods than LoRA are not looked at one by one.
	var method struct {
		PeftType string `json:"peft_type"`
	}
	if err = plainjson.Unmarshal(b, &method); err == nil && method.PeftType != "LORA" {
		err = errMethod(method.PeftType)
	}
	if err == nil {
		err = plainjson.Unmarshal(b, &c)
	}
	if err == nil {
		err = unknownFields(b)
	}
	if err != nil {
		return c, nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.Validate(); err != nil {
		return c, nil, fmt.Errorf("%s: %w", path, err)
	}

	// LLaVA's own training code keeps the projector beside the branches, which
	// nothing would miss.
	if hf.Holds(dir, llavaTrainables) {
		return c, nil, fmt.Errorf("%s holds %s: weights that LLaVA's own code trained beside the branches, which are not read; merge them with its merge_lora_weights.py, convert the result to Hugging Face's layout and give it as the model", dir, llavaTrainables)
	}
	weights := filepath.Join(dir, weightsName)
	w, err := hf.OpenFile(weights)
	if errors.Is(err, fs.ErrNotExist) {
		if _, old := os.Stat(filepath.Join(dir, "adapter_model.bin")); old == nil {
			return c, nil, fmt.Errorf("%s: the adapter's weights are a pickle (adapter_model.bin), which is not read: load the adapter with PEFT and save it again (save_pretrained writes adapter_model.safetensors)", dir)
		}
	}
	return c, w, err
}

// Write writes a PEFT adapter folder: the tensors, then the config, so
// that a folder with a config is complete. Fields left empty get PEFT's
// defaults. PEFT does not read the metadata.
// The format "pt" is what safetensors.torch writes, and what transformers asks for.
func Write(dir string, c Config, tensors []hf.NamedTensor, metadata map[string]string) error {
	if c.PeftType == "" {
		c.PeftType = "LORA"
	}
	if c.Bias == "" {
		c.Bias = "none"
	}
	if c.InitWeights == nil {
		c.InitWeights = json.RawMessage("true")
	}
	meta := map[string]string{"format": "pt"}
	maps.Copy(meta, metadata)
	path := filepath.Join(dir, hf.AdapterConfigName)
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := hf.WriteSafetensors(filepath.Join(dir, weightsName), tensors, meta); err != nil {
		return err
	}
	return hf.WriteJSON(path, c)
}
