package hf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/model/kit/plainjson"
)

// quantFields are the fields of a quantization_config that say what the weights
// are, in the order they are told; methods nest them differently.
var quantFields = []string{
	"quant_method", "load_in_8bit", "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "quant_algo", "bits", "w_bit", "num_bits",
	"nbits", "nbits_per_codebook", "weights", "type", "format", "quant_type", "_type", "forward_dtype", "group_size", "weight_block_size",
}

// Quantised refuses a config.json whose weights are quantised, by the field
// that says so: quantization_config of transformers, at the top or in the
// text's part, and the spellings of other programs.
// Without this the packed integers would be reported as tensors of a wrong shape.
func Quantised(config []byte) error {
	type fields struct {
		Quantization json.RawMessage `json:"quantization_config"` // transformers
		Compression  json.RawMessage `json:"compression_config"`  // compressed-tensors before 0.9
		MLX          json.RawMessage `json:"quantization"`        // MLX
	}
	var c struct {
		fields
		Text *fields `json:"text_config"`
	}
	if json.Unmarshal(config, &c) != nil {
		return nil // whoever reads the file says what is wrong with it
	}
	parts := []struct {
		where string
		f     fields
	}{{"", c.fields}}
	if c.Text != nil {
		parts = append(parts, struct {
			where string
			f     fields
		}{"text_config.", *c.Text})
	}
	for _, p := range parts {
		for _, q := range []struct {
			field string
			raw   json.RawMessage
		}{{"quantization_config", p.f.Quantization}, {"compression_config", p.f.Compression}, {"quantization", p.f.MLX}} {
			var v any
			if len(q.raw) == 0 || json.Unmarshal(q.raw, &v) != nil || v == nil {
				continue
			}
			if m, ok := v.(map[string]any); ok && len(m) == 0 {
				continue
			}
			return fmt.Errorf("%s%s: the weights are quantised (%s), which is not implemented; use the model they were made from, or dequantise it (transformers: model.dequantize(), then save_pretrained(NEW, save_original_format=False))",
				p.where, q.field, strings.Join(told(v), ", "))
		}
	}
	return nil
}

// told are the fields that say what a quantised model is.
// Each is a name and its value; of a config that has none of the fields, all of it.
func told(v any) []string {
	var out []string
	four, _ := find(v, "load_in_4bit")
	for _, name := range quantFields {
		x, ok := find(v, name)
		if !ok || x == false || strings.HasPrefix(name, "bnb_4bit_") && four != true {
			continue
		}
		if b, err := json.Marshal(x); err == nil {
			out = append(out, name+" "+plainjson.OneLine(b))
		}
	}
	if len(out) == 0 {
		if b, err := json.Marshal(v); err == nil {
			out = append(out, plainjson.OneLine(b))
		}
	}
	return out
}

// find is the value of a field that is neither null nor an object, the outermost
// first.
// Keys are gone through in sorted order, so that the message is the same each time.
func find(v any, name string) (any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	if x := m[name]; x != nil {
		if _, inner := x.(map[string]any); !inner {
			return x, true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if x, ok := find(m[k], name); ok {
			return x, true
		}
	}
	return nil, false
}

// quantSuffixes end the names of tensors that only quantised layers have.
var quantSuffixes = []string{
	".qweight", ".qzeros", ".weight.absmax", ".weight.quant_map", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4", ".weight_packed", ".weight_scale", ".weight_scale_inv", ".SCB", ".weight_format",
	".W_q", ".weight_blocks", "_proj_blocks", ".weight_scales", ".scales", ".weight._data", ".weight_qdata", ".codebooks",
}

// QuantisedTensor is the first tensor that only a quantised layer has, empty
// where there is none: quantised folders whose config.json does not say so.
func QuantisedTensor(names []string) string {
	for _, n := range names {
		if slices.ContainsFunc(quantSuffixes, func(s string) bool { return strings.HasSuffix(n, s) }) {
			return n
		}
	}
	return ""
}
