// Package vgidtest makes the small model and the small benchmark that tests of
// whole runs share. Only tests import it.
package vgidtest

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing/fstest"

	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/eval/mllmu"
	"vgid/model/cpu"
	"vgid/vgid/people"
	"vgid/vgid/quickstart"
)

// architecture is one that trains in milliseconds.
// Its vocabulary holds every word of the people (people.Vocabulary), each as one token.
const architecture = `{
  "model_type": "llava", "image_token_index": 4, "vision_feature_layer": -1,
  "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu",
  "text_config": {"model_type": "llama", "vocab_size": 1792, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": false},
  "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 24, "patch_size": 12, "projection_dim": 32}
}`

// qwen are the architectures of the other families, with windows of two tokens.
const qwen = `{
  "model_type": %q, "vocab_size": 1792, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
  "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
  "rope_theta": 1e4, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
  "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": %t,
  "vision_start_token_id": 4, "vision_end_token_id": 5, "image_token_id": 6, "video_token_id": 7,
  "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32,
    "num_heads": 2, "mlp_ratio": 2, "patch_size": 6, "window_size": 24, "fullatt_block_indexes": [1]}
}`

// qwenProcessor reads the benchmark's portraits of 48 pixels as 16 tokens.
const qwenProcessor = `{"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 6, "merge_size": 2,
  "temporal_patch_size": 2, "min_pixels": 576, "max_pixels": 2304, "do_resize": true, "do_rescale": true,
  "do_normalize": true, "do_convert_rgb": true, "rescale_factor": 0.00392156862745098, "resample": 3,
  "image_mean": [0.5, 0.5, 0.5], "image_std": [0.27, 0.27, 0.27]}`

// Families are the values of model_type that MakeFamily knows.
var Families = []string{"llava", "qwen2_vl", "qwen2_5_vl"}

// World is a model folder with random weights and a benchmark of ten
// fictitious people, two of whom are in forget_20, each asked every question once.
// Whoever made it owns the folders, and may change them.
type World struct{ Model, Data string }

// Make writes a World below dir, the same at every call.
func Make(dir string) (World, error) { return MakeFamily(dir, "llava") }

// MakeFamily is Make with a model of a family. A process makes each family once and
// keeps the files: under the race detector that takes a second, and a test binary asks
// for twenty worlds.
func MakeFamily(dir, family string) (World, error) {
	mu.Lock()
	defer mu.Unlock()
	if made[family] == nil {
		files, err := kept(family)
		if err != nil {
			return World{}, err
		}
		made[family] = files
	}
	return worldIn(dir), os.CopyFS(dir, made[family])
}

// made are the files of a family's world.
var (
	mu   sync.Mutex
	made = map[string]fstest.MapFS{}
)

func worldIn(dir string) World {
	return World{Model: filepath.Join(dir, "model"), Data: filepath.Join(dir, "data")}
}

// kept makes a family's world and reads it into memory.
func kept(family string) (fstest.MapFS, error) {
	dir, err := os.MkdirTemp("", "vgid-world-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := makeFamily(worldIn(dir), family); err != nil {
		return nil, err
	}
	files := fstest.MapFS{}
	return files, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
}

// makeFamily writes the world w.
func makeFamily(w World, family string) error {
	be := cpu.New(1)
	defer be.Close()
	r := quickstart.Recipe{Config: []byte(architecture), Texts: 400, Seed: 1}
	if family != "llava" {
		r.Config = fmt.Appendf(nil, qwen, family, family == "qwen2_5_vl")
		r.Special = []string{"<pad>", "<s>", "</s>", "<unk>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"}
		r.Processor = []byte(qwenProcessor)
	}
	if err := quickstart.CreateFrom(be, w.Model, r); err != nil {
		return err
	}
	_, err := people.Build(context.Background(), people.BuildConfig{
		Out: w.Data, Seed: 3, People: 10, ForgetPercents: []int{20}, Views: 2, Celebrities: 6, ImageSize: 48,
	})
	if err != nil {
		return err
	}
	return thin(w.Data)
}

// thin leaves of the training questions that differ in their options alone the first: 28
// of a person's 98. Every stage reads them all, before it draws a few.
func thin(dir string) error {
	b, err := formats.Open(dir)
	if err != nil {
		return err
	}
	for _, set := range []string{"forget_20", "retain_80", mllmu.TrainSet} {
		profiles, err := b.Training(set)
		if err != nil {
			return err
		}
		for i := range profiles {
			seen := map[string]bool{}
			profiles[i].Train = slices.DeleteFunc(profiles[i].Train, func(q dataset.QA) bool {
				asked, _, _ := strings.Cut(q.Question, "?")
				again := seen[asked]
				seen[asked] = true
				return again
			})
		}
		if err := mllmu.WriteTraining(dir, set, profiles); err != nil {
			return err
		}
	}
	return nil
}

// Settings are overrides of the default configuration, by dotted path, for
// runs on w that end in seconds; over is stronger than they are.
// They are strings, as flags are, so that a test may hand them to Load or to the program.
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
