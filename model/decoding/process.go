package decoding

import (
	"math"
	"slices"
)

// Processor changes rows of logits by its settings; it keeps working memory.
// It is for one goroutine at a time.
// seen and bias are of the vocabulary's length and cleared behind each use, so that a step
// allocates nothing.
type Processor struct {
	Settings
	seen []bool    // of each token, between two uses false
	bias []float32 // of each token, between two uses 0
}

// step is one entry of the order in which transformers 5.23 applies its
// processors (GenerationMixin._get_logits_processor).
type step struct {
	name  string
	apply func(p *Processor, logits []float32, t *Text)
}

// order matters: a later processor sees what an earlier one made, and a ban is final only
// behind all that adds.
var order = []step{
	{"sequence_bias", (*Processor).sequenceBias},
	{"encoder_repetition_penalty", (*Processor).encoderRepetition},
	{"repetition_penalty", (*Processor).repetition},
	{"no_repeat_ngram_size", (*Processor).noRepeat},
	{"encoder_no_repeat_ngram_size", (*Processor).encoderNoRepeat},
	{"bad_words_ids", (*Processor).badWords},
	{"min_length, min_new_tokens", (*Processor).atLeast},
	{"forced_bos_token_id", (*Processor).forcedBOS},
	{"forced_eos_token_id", (*Processor).forcedEOS},
	{"remove_invalid_values", (*Processor).removeInvalid},
	{"exponential_decay_length_penalty", (*Processor).decay},
	{"suppress_tokens", (*Processor).suppress},
	{"begin_suppress_tokens", (*Processor).beginSuppress},
}

// Apply changes logits [vocab] in place for the token that follows t.
func (p *Processor) Apply(logits []float32, t *Text) {
	for _, s := range order {
		s.apply(p, logits, t)
	}
}

var never = float32(math.Inf(-1))

// ban makes tokens impossible; ids outside the vocabulary count for nothing.
func ban(logits []float32, ids []int32) {
	for _, id := range ids {
		if id >= 0 && int(id) < len(logits) {
			logits[id] = never
		}
	}
}

// force makes all but ids impossible, and those equally likely.
func force(logits []float32, ids []int32) {
	for i := range logits {
		logits[i] = never
	}
	for _, id := range ids {
		logits[id] = 0
	}
}

// atLeast keeps an answer from ending too early: MinLengthLogitsProcessor, and
// MinNewTokensLengthLogitsProcessor.
func (p *Processor) atLeast(logits []float32, t *Text) {
	// min_new_tokens takes the place of min_length.
	if p.MinNew > 0 && len(t.Answer) < p.MinNew || p.MinNew == 0 && t.len() < p.MinLength {
		ban(logits, t.Ends)
	}
}

// forcedBOS acts where the text is one token, which is how decoders of
// encoder-decoder models begin; a prompt is hardly ever so short.
func (p *Processor) forcedBOS(logits []float32, t *Text) {
	if p.ForcedBOS != nil && t.len() == 1 {
		force(logits, []int32{*p.ForcedBOS})
	}
}

// forcedEOS ends the longest answer there may be with an end token.
// MaxNew counts the token that is chosen now.
func (p *Processor) forcedEOS(logits []float32, t *Text) {
	if len(p.ForcedEOS) > 0 && len(t.Answer) == t.MaxNew-1 {
		force(logits, p.ForcedEOS)
	}
}

// removeInvalid keeps what overflowed from deciding or from spoiling the rest.
func (p *Processor) removeInvalid(logits []float32, _ *Text) {
	if !p.RemoveInvalid {
		return
	}
	for i, v := range logits {
		switch {
		case v != v:
			logits[i] = 0
		case v > math.MaxFloat32:
			logits[i] = math.MaxFloat32
		case v < -math.MaxFloat32:
			logits[i] = -math.MaxFloat32
		}
	}
}

// decay adds a growing part of its own size to an end token's logit, whatever its sign,
// so that it always becomes likelier (ExponentialDecayLengthPenalty).
func (p *Processor) decay(logits []float32, t *Text) {
	if p.Decay == nil || len(t.Answer) <= p.Decay.Start {
		return
	}
	more := float32(math.Pow(p.Decay.Factor, float64(len(t.Answer)-p.Decay.Start)) - 1)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(t.Ends))) {
		if id < 0 || int(id) >= len(logits) {
			continue
		}
		if v := float64(logits[id]); !math.IsInf(v, 0) && v == v {
			logits[id] += float32(math.Abs(v)) * more
		}
	}
}

// suppress bans tokens everywhere.
func (p *Processor) suppress(logits []float32, _ *Text) { ban(logits, p.Suppress) }

// beginSuppress bans tokens at the first place that the model chooses: behind a forced
// first token where there is one.
func (p *Processor) beginSuppress(logits []float32, t *Text) {
	begin := 0
	if len(t.Prompt) == 1 && p.ForcedBOS != nil {
		begin = 1
	}
	if len(t.Answer) == begin {
		ban(logits, p.BeginSuppress)
	}
}
