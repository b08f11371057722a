package model

import (
	"slices"
	"strings"
	"testing"

	"vgid/model/family"
	"vgid/model/family/qwenvl"
	"vgid/model/hf/imaging"
	"vgid/model/ref"
)

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
		c.Text.RoPE != (RoPE{Theta: 1e6, Type: "default", Sections: [3]int{16, 24, 24}}) || v.HiddenSize != 1280 || v.IntermediateSize != 5120 ||
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

func TestQwenSequencesThatDoNotFitAreRefused(t *testing.T) {
	m, err := Load(t.Context(), ref.New(), "testdata/golden/qwen2_mha")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	img, video := int32(m.Config.ImageTokenID), int32(m.Config.Mark().VideoID)
	image := func(h, w int) imaging.Image {
		return imaging.Image{Pixels: make([]float32, h*w*24), Grid: imaging.Grid{T: 1, H: h, W: w}}
	}
	odd, frames, short := image(2, 3), image(2, 2), image(2, 2)
	frames.Grid.T, short.Pixels = 2, short.Pixels[1:]
	for _, tt := range []struct {
		s    Sequence
		want string
	}{
		{Sequence{IDs: []int32{1, img}}, "no image"},
		{Sequence{IDs: []int32{1, 2}, Images: []imaging.Image{image(2, 2)}}, "tokens for 0 of its 1 images"},
		{Sequence{IDs: []int32{1, img, 2, img}, Images: []imaging.Image{image(2, 4)}}, "image 0 needs 2 image tokens behind each other"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{image(2, 4)}}, "image 0 needs 2"},
		{Sequence{IDs: []int32{1, video}}, "video_token_id"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{odd}}, "2×3"},
		{Sequence{IDs: []int32{1, img, img}, Images: []imaging.Image{frames}}, "2 frames"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{short}}, "95 values"},
	} {
		if _, err := m.Pack([]Sequence{tt.s}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want it to say %q", err, tt.want)
		}
	}
}
