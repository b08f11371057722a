package hf

import (
	"testing"

	"vgid/model/kit/hftest"
)

// The configs are those that transformers 5.23.0 writes for each method, and,
// where it cannot make one without that method's library, of its documentation.
func TestQuantisedConfigsAreRefusedByWhatTheyAre(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`{"quantization_config": {"quant_method": "bitsandbytes", "_load_in_8bit": false, "load_in_4bit": true, "load_in_8bit": false, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true, "bnb_4bit_compute_dtype": "float32"}}`,
			`quantization_config: the weights are quantised (quant_method "bitsandbytes", load_in_4bit true, bnb_4bit_quant_type "nf4", bnb_4bit_use_double_quant true)`},
		{`{"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": false}}`,
			`(quant_method "bitsandbytes", load_in_4bit true, bnb_4bit_quant_type "fp4")`},
		{`{"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": false, "load_in_8bit": true, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": false}}`,
			`(quant_method "bitsandbytes", load_in_8bit true)`},
		{`{"quantization_config": {"quant_method": "gptq", "bits": 4, "tokenizer": null, "group_size": 128, "sym": true, "format": "gptq"}}`,
			`(quant_method "gptq", bits 4, format "gptq", group_size 128)`},
		{`{"quantization_config": {"zero_point": true, "quant_method": "awq", "bits": 4, "group_size": 128, "format": "gemm", "version": "gemm"}}`,
			`(quant_method "awq", bits 4, format "gemm", group_size 128)`},
		{`{"text_config": {"quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}}}`,
			`text_config.quantization_config: the weights are quantised (quant_method "fp8", weight_block_size [128, 128])`},
		{`{"quantization_config": {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}}`, `(quant_method "fbgemm_fp8")`},
		{`{"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "group_size": null}}}}}`,
			`(quant_method "compressed-tensors", num_bits 8, type "float", format "float-quantized")`},
		{`{"compression_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}}`, `compression_config: the weights are quantised (quant_method "compressed-tensors", format "pack-quantized")`},
		{`{"quantization_config": {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64, "channel_wise": true}}}}`,
			`(quant_method "hqq", nbits 4, group_size 64)`},
		{`{"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": null}}`, `(quant_method "mxfp4")`},
		{`{"quantization_config": {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}}}`,
			`(quant_method "torchao", _type "Int4WeightOnlyConfig", group_size 128)`},
		{`{"quantization_config": {"quant_method": "torchao", "quant_type": "int8_weight_only"}}`, `(quant_method "torchao", quant_type "int8_weight_only")`},
		{`{"quantization_config": {"quant_method": "quanto", "weights": "int4", "activations": null}}`, `(quant_method "quanto", weights "int4")`},
		{`{"quantization_config": {"quant_method": "eetq", "weights": "int8"}}`, `(quant_method "eetq", weights "int8")`},
		{`{"quantization_config": {"quant_method": "aqlm", "in_group_size": 8, "nbits_per_codebook": 16}}`, `(quant_method "aqlm", nbits_per_codebook 16)`},
		{`{"quantization_config": {"bits": 4, "group_size": 128, "quant_method": "auto-round", "packing_format": "auto_round:gptq"}}`, `(quant_method "auto-round", bits 4, group_size 128)`},
		{`{"quantization_config": {"forward_dtype": "nvfp4", "quant_method": "fp_quant"}}`, `(quant_method "fp_quant", forward_dtype "nvfp4")`},
		{`{"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}`, `(quant_method "modelopt", quant_algo "NVFP4")`},
		{`{"quantization": {"group_size": 64, "bits": 4}}`, `quantization: the weights are quantised (bits 4, group_size 64)`},
		{`{"quantization_config": {"odd": 1}}`, `quantization_config: the weights are quantised ({"odd": 1})`},
		{`{"quantization_config": "int8"}`, `quantization_config: the weights are quantised ("int8")`},
	} {
		hftest.WantError(t, Quantised([]byte(c.config)), c.want)
	}
	for _, plain := range []string{`{}`, `{"quantization_config": null}`, `{"quantization_config": {}}`, `{"text_config": {"quantization_config": null}}`, `[]`, ``} {
		if err := Quantised([]byte(plain)); err != nil {
			t.Errorf("%s: %v", plain, err)
		}
	}
}

func TestQuantisedTensorsAreKnownByName(t *testing.T) {
	for name, quantised := range map[string]bool{
		"language_model.model.layers.0.mlp.up_proj.qweight":                    true,
		"model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4": true,
		"language_model.model.layers.0.mlp.up_proj.weight.absmax":              true,
		"language_model.model.layers.0.mlp.up_proj.SCB":                        true,
		"language_model.model.layers.0.mlp.up_proj.weight_scale":               true,
		"model.layers.0.mlp.experts.gate_up_proj_blocks":                       true,
		"language_model.model.layers.0.mlp.up_proj.weight":                     false,
		"visual.patch_embed.proj.weight":                                       false,
		"model.layers.0.self_attn.rotary_emb.inv_freq":                         false,
		"vision_tower.vision_model.embeddings.position_ids":                    false,
	} {
		if got := QuantisedTensor([]string{"a.weight", name}); (got == name) != quantised || got != "" && !quantised {
			t.Errorf("%s: %q, want quantised %v", name, got, quantised)
		}
	}
}
