package decoding

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const vocab = 12

func tokens(t *rapid.T, name string, least, most int) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(0, vocab-1), least, most).Draw(t, name)
}

func someSettings(t *rapid.T) Settings {
	s := Settings{
		EncoderRepetitionPenalty: rapid.SampledFrom([]float32{0, 1, 0.5, 2}).Draw(t, "encoder penalty"),
		RepetitionPenalty:        rapid.SampledFrom([]float32{0, 1, 0.5, 2}).Draw(t, "penalty"),
		NoRepeatNGram:            rapid.IntRange(0, 3).Draw(t, "n"),
		EncoderNoRepeatNGram:     rapid.IntRange(0, 3).Draw(t, "encoder n"),
		MinLength:                rapid.IntRange(0, 9).Draw(t, "length"),
		MinNew:                   rapid.IntRange(0, 5).Draw(t, "new"),
		RemoveInvalid:            rapid.Bool().Draw(t, "remove"),
		Suppress:                 tokens(t, "suppress", 0, 3),
		BeginSuppress:            tokens(t, "begin", 0, 3),
	}
	for range rapid.IntRange(0, 3).Draw(t, "biases") {
		s.SequenceBias = append(s.SequenceBias, Bias{tokens(t, "bias", 1, 3), float32(rapid.IntRange(-4, 4).Draw(t, "add"))})
		s.BadWords = append(s.BadWords, tokens(t, "word", 1, 3))
	}
	if rapid.Bool().Draw(t, "decays") {
		s.Decay = &Decay{rapid.IntRange(0, 3).Draw(t, "start"), 1.5}
	}
	if rapid.Bool().Draw(t, "ends") {
		s.ForcedEOS = tokens(t, "forced", 1, 2)
	}
	return s
}

func someText(t *rapid.T) *Text {
	return &Text{Prompt: tokens(t, "prompt", 1, 8), Answer: tokens(t, "answer", 0, 8), Ends: tokens(t, "ends", 0, 2), MaxNew: 9}
}

func someLogits(t *rapid.T) []float32 {
	return rapid.SliceOfN(rapid.Float32Range(-5, 5), vocab, vocab).Draw(t, "logits")
}

// What was processed before leaves nothing behind.
func TestProcessorForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSettings(t)
		used := Processor{Settings: s}
		used.Apply(someLogits(t), someText(t))
		text, logits := someText(t), someLogits(t)
		fresh := slices.Clone(logits)
		used.Apply(logits, text)
		(&Processor{Settings: s}).Apply(fresh, text)
		if !slices.Equal(logits, fresh) {
			t.Fatalf("%v after another text, %v without", logits, fresh)
		}
	})
}

// Settings that are not active change nothing; active is the exact opposite of
// what an empty file gives.
func TestInactiveSettings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Processor{Settings: Settings{RepetitionPenalty: rapid.SampledFrom([]float32{0, 1}).Draw(t, "p"), EncoderRepetitionPenalty: 1}}
		if p.Active() {
			t.Fatal("active")
		}
		logits := someLogits(t)
		want := slices.Clone(logits)
		p.Apply(logits, someText(t))
		if !slices.Equal(logits, want) {
			t.Fatalf("%v became %v", want, logits)
		}
	})
}

// No n tokens stand twice, whatever the logits are.
func TestNoRepeatNGramHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "n")
		p := Processor{Settings: Settings{NoRepeatNGram: n}}
		text := &Text{Prompt: tokens(t, "prompt", 1, 1), MaxNew: 99}
		for range 10 {
			logits := someLogits(t)
			p.Apply(logits, text)
			best := slices.Index(logits, slices.Max(logits))
			text.Answer = append(text.Answer, int32(best))
		}
		said := slices.Concat(text.Prompt, text.Answer)
		for a := range said {
			for b := a + 1; b+n <= len(said); b++ {
				if slices.Equal(said[a:a+n], said[b:b+n]) {
					t.Fatalf("%v stands twice in %v", said[a:a+n], said)
				}
			}
		}
	})
}

func TestValidate(t *testing.T) {
	five := int32(5)
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{}, ""},
		{Settings{ForcedBOS: &five, ForcedEOS: []int32{1, 5}, Suppress: []int32{1, -1, 99}}, ""},
		{Settings{RepetitionPenalty: float32(math.NaN())}, "repetition_penalty NaN must be positive"},
		{Settings{EncoderRepetitionPenalty: -1}, "encoder_repetition_penalty -1 must be positive"},
		{Settings{MinNew: -1}, "min_new_tokens -1 must not be negative"},
		{Settings{BadWords: [][]int32{{3}, {}}}, "bad_words_ids has a sequence of no tokens"},
		{Settings{BadWords: [][]int32{{3, 12}}}, "bad_words_ids: token 12 is not in the vocabulary of 12 tokens"},
		{Settings{SequenceBias: []Bias{{[]int32{-1}, 1}}}, "sequence_bias: token -1"},
		{Settings{SequenceBias: []Bias{{[]int32{1}, float32(math.NaN())}}}, "sequence_bias of [1] is not a number"},
		{Settings{ForcedEOS: []int32{12}}, "forced_eos_token_id: token 12"},
		{Settings{ForcedEOS: []int32{1, 2}, Suppress: []int32{2, 1}}, "every token of forced_eos_token_id [1 2]"},
		{Settings{ForcedBOS: &five, Suppress: []int32{5}}, "forced_bos_token_id 5 is also in suppress_tokens"},
	} {
		err := c.s.Validate(vocab)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.s, err, c.want)
		}
	}
}
