package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	adapterConfigName  = "adapter_config.json"
	adapterWeightsName = "adapter_model.safetensors"
)

// TargetModules says which modules an adapter trains: a list of names that
// match a module path or its suffix after a dot, or one regular expression
// that matches whole paths. Exactly one of the two is set.
type TargetModules struct {
	Names   []string
	Pattern string
}

// MarshalJSON writes a list or a string, as PEFT does.
func (t TargetModules) MarshalJSON() ([]byte, error) {
	if t.Pattern != "" {
		return json.Marshal(t.Pattern)
	}
	return json.Marshal(t.Names)
}

// UnmarshalJSON accepts a list or a string.
func (t *TargetModules) UnmarshalJSON(b []byte) error {
	*t = TargetModules{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.Pattern)
	}
	return json.Unmarshal(b, &t.Names)
}

// AdapterConfig is PEFT's adapter_config.json for LoRA.
type AdapterConfig struct {
	PeftType       string             `json:"peft_type"` // LORA
	TaskType       *string            `json:"task_type"`
	BaseModel      string             `json:"base_model_name_or_path"`
	R              int                `json:"r"`
	LoraAlpha      float64            `json:"lora_alpha"`
	LoraDropout    float64            `json:"lora_dropout"`
	TargetModules  TargetModules      `json:"target_modules"`
	ExcludeModules json.RawMessage    `json:"exclude_modules"`
	Bias           string             `json:"bias"` // none, all or lora_only
	FanInFanOut    bool               `json:"fan_in_fan_out"`
	UseRSLora      bool               `json:"use_rslora"` // scale alpha/√r instead of alpha/r
	UseDora        bool               `json:"use_dora"`
	ModulesToSave  []string           `json:"modules_to_save"`
	InitWeights    json.RawMessage    `json:"init_lora_weights"` // true, false or a method's name
	RankPattern    map[string]int     `json:"rank_pattern"`
	AlphaPattern   map[string]float64 `json:"alpha_pattern"`
	LayersToTrans  json.RawMessage    `json:"layers_to_transform"`
	LayersPattern  json.RawMessage    `json:"layers_pattern"`
	InferenceMode  bool               `json:"inference_mode"`
	Revision       *string            `json:"revision"`
}

// Validate checks what every LoRA adapter needs.
func (c *AdapterConfig) Validate() error {
	switch {
	case c.PeftType != "LORA":
		return fmt.Errorf("peft_type %q is not supported, only LORA", c.PeftType)
	case c.R <= 0:
		return fmt.Errorf("r is %d, must be positive", c.R)
	case c.LoraDropout < 0 || c.LoraDropout >= 1:
		return fmt.Errorf("lora_dropout is %v, must be in [0, 1)", c.LoraDropout)
	case c.TargetModules.Pattern == "" && len(c.TargetModules.Names) == 0:
		return errors.New("target_modules is empty")
	case c.TargetModules.Pattern != "" && len(c.TargetModules.Names) > 0:
		return errors.New("target_modules has both names and a pattern")
	case c.Bias != "none" && c.Bias != "all" && c.Bias != "lora_only":
		return fmt.Errorf("bias %q is none of none, all, lora_only", c.Bias)
	}
	return nil
}

// ReadAdapter reads a PEFT adapter folder. Its tensors are named
// base_model.model.<module path>.lora_A.weight [r, in] and lora_B.weight [out, r].
func ReadAdapter(dir string) (AdapterConfig, *Weights, error) {
	c := AdapterConfig{LoraAlpha: 8, R: 8, Bias: "none"} // PEFT's defaults for absent fields
	path := filepath.Join(dir, adapterConfigName)
	b, err := os.ReadFile(path)
	if err != nil {
		return c, nil, fmt.Errorf("%w; give the folder of a PEFT adapter", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.Validate(); err != nil {
		return c, nil, fmt.Errorf("%s: %w", path, err)
	}
	weights := filepath.Join(dir, adapterWeightsName)
	w, err := openFile(weights)
	if errors.Is(err, fs.ErrNotExist) {
		if _, old := os.Stat(filepath.Join(dir, "adapter_model.bin")); old == nil {
			return c, nil, fmt.Errorf("%s: only adapter_model.bin found; convert it to safetensors", dir)
		}
	}
	return c, w, err
}

// WriteAdapter writes a PEFT adapter folder: the tensors, then the config, so
// that a folder with a config is complete. Fields left empty get PEFT's
// defaults.
func WriteAdapter(dir string, c AdapterConfig, tensors []NamedTensor) error {
	if c.PeftType == "" {
		c.PeftType = "LORA"
	}
	if c.Bias == "" {
		c.Bias = "none"
	}
	if c.InitWeights == nil {
		c.InitWeights = json.RawMessage("true")
	}
	if c.RankPattern == nil {
		c.RankPattern = map[string]int{}
	}
	if c.AlphaPattern == nil {
		c.AlphaPattern = map[string]float64{}
	}
	path := filepath.Join(dir, adapterConfigName)
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := WriteSafetensors(filepath.Join(dir, adapterWeightsName), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return writeJSON(path, c)
}
