package hf

import (
	"encoding/json"
	"fmt"
)

// refused are fields of generation_config.json that change a greedy answer of
// transformers 5.23 (or keep it from giving one) in ways that are not
// implemented, with the values at which they do.
var refused = []struct {
	field string
	asks  func(raw json.RawMessage) bool
	want  string // what it asks for
}{
	{"num_beams", above(1), "beam search"},
	{"num_return_sequences", above(1), "several answers"},
	{"guidance_scale", otherThan(1), "classifier-free guidance"},
	{"penalty_alpha", above(0), "contrastive search"},
	{"dola_layers", isSet, "DoLa decoding"},
	{"constraints", isSet, "constrained beam search"},
	{"force_words_ids", isSet, "constrained beam search"},
	{"token_healing", isTrue, "token healing"},
	{"watermarking_config", isSet, "watermarks"},
	{"max_time", isSet, "answers cut by the clock"},
	{"is_assistant", isTrue, "drafts for another model"},
	{"use_mtp", isTrue, "drafts by further heads"},
}

// refuseGeneration names the first field that asks for what is not there. To leave it
// out quietly would give other answers than the model's own.
func refuseGeneration(fields map[string]json.RawMessage) error {
	for _, r := range refused {
		if raw, ok := fields[r.field]; ok && isSet(raw) && r.asks(raw) {
			return fmt.Errorf("%s %s asks for %s, which is not implemented: take the field out to have plain greedy answers", r.field, raw, r.want)
		}
	}
	var quantised string
	if json.Unmarshal(fields["cache_implementation"], &quantised) == nil && quantised == "quantized" {
		return fmt.Errorf(`cache_implementation "quantized" asks for rounded keys and values, which is not implemented: take the field out`)
	}
	return nil
}

// isSet reports whether a field is there and not null.
func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func isTrue(raw json.RawMessage) bool { return string(raw) == "true" }

// above and otherThan count what is no number, too: it is refused.
func above(n float64) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		var v float64
		return json.Unmarshal(raw, &v) != nil || v > n
	}
}

func otherThan(n float64) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		var v float64
		return json.Unmarshal(raw, &v) != nil || v != n
	}
}
