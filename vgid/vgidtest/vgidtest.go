// Package vgidtest makes the small model and the small benchmark that tests of
// whole runs share. Only tests import it.
package vgidtest

import (
	"context"
	"maps"
	"path/filepath"

	"vgid/model/cpu"
	"vgid/vgid/data"
	"vgid/vgid/quickstart"
)

// architecture is one that trains in milliseconds.
const architecture = `{
  "model_type": "llava", "image_token_index": 4, "vision_feature_layer": -1,
  "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu",
  "text_config": {"model_type": "llama", "vocab_size": 1792, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": false},
  "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 24, "patch_size": 12, "projection_dim": 32}
}`

// World is a model folder with random weights and a benchmark of ten
// fictitious people, two of whom are in forget_20.
type World struct{ Model, Data string }

// Make writes a World below dir, the same at every call.
func Make(dir string) (World, error) {
	w := World{Model: filepath.Join(dir, "model"), Data: filepath.Join(dir, "data")}
	be := cpu.New(1)
	defer be.Close()
	if err := quickstart.CreateFrom(be, w.Model, []byte(architecture), 400, 1); err != nil {
		return w, err
	}
	_, err := data.Build(context.Background(), data.BuildConfig{
		Out: w.Data, Seed: 3, People: 10, ForgetPercents: []int{20}, Views: 2, Celebrities: 6, ImageSize: 48,
	})
	return w, err
}

// Settings are overrides of the default configuration, by dotted path, for
// runs on w that end in seconds; over is stronger than they are.
func (w World) Settings(over map[string]string) map[string]string {
	set := map[string]string{
		"name": "r", "seed": "5", "data.dir": w.Data, "data.forget": "forget_20", "model.base": w.Model,
		"train.steps": "5", "train.batch": "7", "train.replay": "0.3", "train.lora.r": "0", "train.optim.lr": "1e-3", "train.text_only": "0.25",
		"train.balance": "true", "train.optim.eps": "1e-6", "data.image_size": "48",
		"unlearn.steps": "5", "unlearn.batch_forget": "5", "unlearn.batch_retain": "4", "unlearn.text_only": "0.25",
		"unlearn.lora.r": "4", "unlearn.optim.lr": "1e-3", "unlearn.optim.eps": "1e-6",
		"eval.prompts": "short", "eval.max_new": "6", "eval.classification": "option",
		"eval.shots_classification": "0", "eval.shots_cloze": "0", "data.eval_people": "2",
	}
	maps.Copy(set, over)
	return set
}
