package family_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"vgid/model/family"
	_ "vgid/model/family/all"
	"vgid/model/family/llava"
	"vgid/model/family/qwenvl"
	"vgid/model/hf/imaging"
	"vgid/model/kit/hftest"
	"vgid/model/nn"
)

// ownFields are the fields of a config that only LLaVA has.
func ownFields(c *family.Config) *llava.Config { return c.Family.(*llava.Config) }

// The fields of the released files: flat, with aliases that are not read and
// much left to the classes' defaults.
const (
	qwen2Released = `{"architectures":["Qwen2VLForConditionalGeneration"],"attention_dropout":0.0,"bos_token_id":151643,"eos_token_id":151645,
		"vision_start_token_id":151652,"vision_end_token_id":151653,"image_token_id":151655,"video_token_id":151656,"hidden_act":"silu",
		"hidden_size":1536,"intermediate_size":8960,"max_position_embeddings":32768,"max_window_layers":28,"model_type":"qwen2_vl",
		"num_attention_heads":12,"num_hidden_layers":28,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":1000000.0,
		"sliding_window":32768,"tie_word_embeddings":true,"torch_dtype":"bfloat16","use_sliding_window":false,"vocab_size":151936,
		"vision_config":{"depth":32,"embed_dim":1280,"mlp_ratio":4,"num_heads":16,"in_chans":3,"hidden_size":1536,"patch_size":14,
			"spatial_merge_size":2,"spatial_patch_size":14,"temporal_patch_size":2},
		"rope_scaling":{"type":"mrope","mrope_section":[16,24,24]}}`
	qwen25Released = `{"bos_token_id":151643,"eos_token_id":151645,"image_token_id":151655,"hidden_size":3584,"intermediate_size":18944,
		"max_position_embeddings":128000,"model_type":"qwen2_5_vl","num_attention_heads":28,"num_hidden_layers":28,"num_key_value_heads":4,
		"rms_norm_eps":1e-06,"rope_theta":1000000.0,"sliding_window":32768,"use_sliding_window":false,"tie_word_embeddings":false,
		"torch_dtype":"bfloat16","vocab_size":152064,"vision_config":{"model_type":"qwen2_5_vl","hidden_size":1280,"in_chans":3,
		"spatial_patch_size":14,"tokens_per_second":2},"rope_scaling":{"type":"default","mrope_section":[16,24,24]}}`
)

func TestReleasedQwenConfigs(t *testing.T) {
	c, err := family.ParseConfig([]byte(qwen2Released))
	if err != nil {
		t.Fatal(err)
	}
	v := &c.Vision
	if c.Text.HeadDim != 128 || c.Text.KVHeads != 2 || !c.Text.QKVBias || c.Text.AttentionBias || !c.Text.TieEmbeddings || c.DType != "bfloat16" ||
		c.Text.RoPE != (nn.RoPE{Theta: 1e6, Type: "default", Sections: [3]int{16, 24, 24}}) || v.HiddenSize != 1280 || v.IntermediateSize != 5120 ||
		v.Act != "quick_gelu" || c.ImageTokens(imaging.Grid{T: 1, H: 26, W: 36}) != 234 {
		t.Errorf("Qwen2-VL read as %+v", c)
	}
	if c, err = family.ParseConfig([]byte(qwen25Released)); err != nil {
		t.Fatal(err)
	}
	v = &c.Vision
	own := c.Family.(*qwenvl.Config25)
	if c.Text.TieEmbeddings || v.HiddenSize != 1280 || v.IntermediateSize != 3420 || v.Layers != 32 || v.Heads != 16 || own.WindowSize != 112 ||
		!slices.Equal(own.FullLayers, []int{7, 15, 23, 31}) || v.Act != "silu" || v.MergeSize != 2 || v.TemporalSize != 2 || v.PatchSize != 14 {
		t.Errorf("Qwen2.5-VL read as %+v", c)
	}
}

func TestQwenConfigsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{`"use_sliding_window":false`, `"use_sliding_window":true`, "use_sliding_window"},
		{`"hidden_act":"silu"`, `"hidden_act":"gelu"`, "hidden_act"},
		{`"type":"mrope"`, `"type":"yarn"`, "yarn"},
		{`[16,24,24]`, `[16,24,23]`, "mrope_section"},
		{`[16,24,24]`, `[32,32]`, "mrope_section"},
		{`"hidden_size":1536,"patch_size"`, `"hidden_size":1280,"patch_size"`, "vision_config.hidden_size 1280"},
		{`"num_heads":16`, `"num_heads":7`, "vision_config.num_heads 7"},
		{`"patch_size":14`, `"patch_size":[14,16]`, "vision_config.patch_size"},
		{`"mlp_ratio":4`, `"mlp_ratio":0`, "vision_config.intermediate_size"},
		{`"video_token_id":151656`, `"video_token_id":151655`, "video_token_id"},
		{`"image_token_id":151655`, `"image_token_id":951655`, "image_token_id"},
		{`"in_chans":3`, `"in_chans":3,"rope_parameters":{"rope_type":"linear"}`, "vision_config.rope_parameters.rope_type"},
		{`"vocab_size":151936`, `"vocab_size":151936,"layer_types":["sliding_attention"]`, "layer_types"},
	} {
		s := strings.Replace(qwen2Released, tt.old, tt.new, 1)
		if s == qwen2Released {
			t.Fatalf("the file has no %s", tt.old)
		}
		if _, err := family.ParseConfig([]byte(s)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want it to name %s", tt.new, err, tt.want)
		}
	}
}

func TestConfigSpellings(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       func(*family.Config) bool
	}{
		{"released, sparse", `{"model_type":"llava","image_token_index":32000,"pad_token_id":32001,"vision_feature_layer":-2,
			"text_config":{"model_type":"llama","max_position_embeddings":4096,"rms_norm_eps":1e-05,"vocab_size":32064,"torch_dtype":"float16"},
			"torch_dtype":"float16",
			"vision_config":{"model_type":"clip_vision_model","hidden_size":1024,"image_size":336,"intermediate_size":4096,"num_attention_heads":16,"num_hidden_layers":24,"patch_size":14,"projection_dim":768,"vocab_size":32000}}`,
			func(c *family.Config) bool {
				return c.Text.HiddenSize == 4096 && c.Text.Layers == 32 && c.Text.KVHeads == 32 && c.Text.HeadDim == 128 &&
					c.Text.IntermediateSize == 11008 && c.Text.RoPE == nn.RoPE{Theta: 1e4, Type: "default"} && !c.Text.TieEmbeddings &&
					c.Vision.Act == "quick_gelu" && c.ImageTokens(imaging.Grid{}) == 576 && c.DType == "float16" && c.PadTokenID == 32001
			}},
		{"transformers 5", `{"model_type":"llava","dtype":"bfloat16","text_config":{"model_type":"llama","vocab_size":32064,"rope_parameters":{"rope_theta":5e5,"rope_type":"linear","factor":2},"eos_token_id":[2,3]},"vision_config":{}}`,
			func(c *family.Config) bool {
				return c.DType == "bfloat16" && c.Text.RoPE == nn.RoPE{Theta: 5e5, Type: "linear", Factor: 2} && slices.Equal(c.EOSTokenID, []int{2, 3})
			}},
		{"list of layers", `{"model_type":"llava","vision_feature_layer":[-1,3],"text_config":{"vocab_size":32064},"vision_config":{}}`,
			func(c *family.Config) bool {
				return slices.Equal(ownFields(c).FeatureLayers, []int{-1, 3}) && ownFields(c).Depth(c) == 12
			}},
		{"no tower", `{"model_type":"llava","vision_config":null,"text_config":null,"image_token_index":31999}`,
			func(c *family.Config) bool {
				return c.Vision.HiddenSize == 1024 && c.Vision.Heads == 16 && c.Text.HiddenSize == 4096 && c.ImageTokens(imaging.Grid{}) == 576
			}},
		{"two image tokens", `{"model_type":"llava","image_token_id":7,"image_token_index":9}`,
			func(c *family.Config) bool { return c.ImageTokenID == 7 }},
		{"null heads", strings.Replace(qwen2Released, `"num_key_value_heads":2`, `"num_key_value_heads":null`, 1),
			func(c *family.Config) bool { return c.Text.KVHeads == 12 }},
		{"null heads of llama", `{"model_type":"llava","image_token_index":7,"text_config":{"num_key_value_heads":null}}`,
			func(c *family.Config) bool { return c.Text.KVHeads == 32 }},
	} {
		c, err := family.ParseConfig([]byte(tt.json))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !tt.want(c) {
			t.Errorf("%s: read as %+v", tt.name, c)
		}
	}
}

// The folders of LLaVA's authors have the same model_type as those of
// transformers, and none of their fields.
func TestLayoutOfLLaVAsAuthors(t *testing.T) {
	const own = `"architectures":["LlavaLlamaForCausalLM"],"hidden_size":4096,"vocab_size":32000,"mm_hidden_size":1024,"mm_projector_type":"mlp2x_gelu",
		"mm_vision_select_layer":-2,"mm_vision_tower":"openai/clip-vit-large-patch14-336","rms_norm_eps":1e-05}`
	for _, kind := range []string{"llava", "llava_llama", "llava_qwen"} {
		_, err := family.ParseConfig([]byte(`{"model_type":"` + kind + `",` + own))
		hftest.WantError(t, err, "mm_vision_tower: this model is in the layout of LLaVA's own code, whose tower lies elsewhere")
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"model_type":"llava","vision_feature_layer":[-1],"text_config":{"rope_scaling":{"type":"linear","factor":2}},"vision_config":{}}`))
	f.Add([]byte(`{"model_type":"llava","text_config":{"num_attention_heads":0},"vision_config":{"num_attention_heads":0}}`))
	f.Add([]byte(qwen2Released))
	f.Add([]byte(qwen25Released))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := family.ParseConfig(data)
		if err != nil {
			return
		}
		b, err := c.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := family.ParseConfig(b)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		c.Flat, again.Flat = false, false // the layout that is written is one
		x, _ := json.Marshal(c)
		y, _ := json.Marshal(again)
		if string(x) != string(y) {
			t.Fatalf("read %s, wrote and read %s", x, y)
		}
	})
}
