package config

import (
	"embed"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Default is what a field holds when neither the file nor a flag sets it: the
// published objective and protocol at the size of a 7B model.
//
// Learning rate, batch, LoRA and schedule are those of the authors' script and of
// MLLMU-Bench's fine-tuning; shots, prompts and lengths those of the benchmark's
// evaluation; step 500 of the diffusion is visual contrastive decoding's own.
func Default() Config {
	optim := Optim{LR: 2e-5, Schedule: "linear", FinalLR: 0, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1}
	lora := LoRA{Bias: "none", Exclude: []string{}, ModulesToSave: []string{}, R: 16, Alpha: 16, Dropout: 0.05, Targets: decoder("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")}
	trained := Trained{LoRA: lora, Modules: []string{}}
	questions := Questions{TextOnly: -1, Mix: TaskMix{Generation: 1, Cloze: 1, Classification: 1}}
	train := Train{Steps: 1000, Batch: 4, Optim: optim, Trained: trained, Questions: questions, Memory: Memory{Accumulate: 1},
		Corpus: Corpus{Describe: 0.05, Attribute: 0.15, Celebrity: 0.45, Instruction: 0.35}}
	return Config{
		Name: "run", Out: "runs", Device: "cpu", Precision: "float32",
		Data:  Data{Forget: "forget_5", People: 60, Celebrities: 80, Views: 8, ImageSize: 96},
		Model: Model{DType: "float32", Weights: "auto"},
		Prompt: Prompt{
			Template: "USER: <image>\n{prompt}\nASSISTANT:",
			Text:     "USER:\n{prompt}\nASSISTANT:",
			Subject:  "the person in the image",
		},
		Train: train,
		Unlearn: Unlearn{
			Method: "vgid", Preset: "paper", Steps: 100, BatchForget: 4, BatchRetain: 4,
			Alpha: 1, Beta: 1, Temperature: 1, Mask: "answer", Responses: "gold", Questions: questions,
			Noise:       Noise{Kind: "uniform-replace", Sigma: 1, Step: 500, Ratio: 0.5},
			Instruction: Instruction{Use: "always", Take: 1},
			Trained:     trained, Optim: optim, Memory: Memory{Accumulate: 1}, Sections: defaultSections(),
		},
		Eval: Eval{
			Sets: []string{"forget", "test", "retain", "celebrity"}, Modalities: []string{"image_text", "text"},
			ShotsClass: 1, ShotsCloze: 2, Prompts: "mllmu", Classification: "letter", MaxNew: 50, BatchTokens: 4096,
		},
		Collective: Collective{Timeout: 5 * time.Minute, Transport: "auto", Algorithm: "auto", Wire: "float32", Bucket: 4096},
		Metrics:    Metrics{Addr: ":0"},
	}
}

// decoder are the layers of the language model by these names. A bare name
// would match the vision tower's layers of the same name as well.
func decoder(names ...string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "language_model.*." + n
	}
	return out
}

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins are the names that --config takes instead of a file.
// The help of --config lists them, and so does the error about a name that is none.
func Builtins() []string {
	files, _ := builtin.ReadDir("builtin") // embedded: cannot fail
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}

// builtinFile is reached when no file has that name: a file of the user's own always comes first.
func builtinFile(name string) ([]byte, error) {
	b, err := builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("config %q: no such file, and not one of the built-in configurations %s", name, strings.Join(Builtins(), ", "))
	}
	return b, nil
}

// ApplyPreset overwrites the fields that a preset of the unlearning stage is
// made of. It runs before the file's and the flags' own values are applied, so
// that those win.
func (c *Config) ApplyPreset(name string) {
	u := &c.Unlearn
	u.Preset = name
	if name != "release" {
		return
	}
	// What the authors' released script does, as opposed to what the paper
	// says: the whole normalised image replaced by U[0,1), no instruction, the
	// divergence over every position, forget and retain as separate steps.
	u.Noise.Kind, u.Noise.Fixed = "uniform-replace", false
	u.Instruction.Use = "never"
	u.Mask = "all"
	u.Alternate = true
	u.Temperature = 1
	u.LoRA.R, u.LoRA.Alpha, u.LoRA.Dropout = 16, 16, 0.05
	// Their adapter is matched by suffix, so the vision tower gets one, too.
	u.LoRA.Targets = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
	// Their linear schedule is stepped once an epoch, with its length in batches, so that
	// the rate hardly moves; they clip only where gradients are accumulated.
	u.Optim.Schedule = "constant"
	u.Optim.Clip = 0
}
