package hf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
)

func generationFolder(t testing.TB, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestGenerationConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"num_beams": 4}`:                               "generation_config.json: num_beams 4 asks for beam search, which is not implemented",
		`{"num_beams": "4"}`:                             `num_beams "4" asks`,
		`{"watermarking_config": {"bias": 1}}`:           "watermarks",
		`{"cache_implementation": "quantized"}`:          "rounded keys and values",
		`{"repetition_penalty": 0}`:                      "repetition_penalty 0 must be positive",
		`{"repetition_penalty": "high"}`:                 "repetition_penalty: string where a number should stand",
		`{"suppress_tokens": 3}`:                         "suppress_tokens: number where a list should stand",
		`{"sequence_bias": [[1, 2]]}`:                    "sequence_bias: [1,2] is not a list of a list of ids and a number",
		`{"exponential_decay_length_penalty": [1.5, 2]}`: "exponential_decay_length_penalty: [1.5,2] is not a list of a number of tokens and a factor",
		`{"bad_words_ids": []}`:                          "bad_words_ids is empty",
		`{"stop_strings": [1]}`:                          "stop_strings",
		`{"eos_token_id": `:                              "not valid JSON",
	} {
		_, err := ReadGenerationConfig(generationFolder(t, map[string]string{"generation_config.json": text}))
		hftest.WantError(t, err, want)
	}
	_, err := ReadGenerationConfig(generationFolder(t, map[string]string{"config.json": `{"num_beams": 2}`}))
	hftest.WantError(t, err, "config.json: num_beams 2")
	for _, harmless := range []string{`{}`, `{"num_beams": 1, "num_beam_groups": 3, "dola_layers": null, "guidance_scale": 1.0, "max_time": null, "stop_strings": "x", "repetition_penalty": null}`} {
		if _, err := ReadGenerationConfig(generationFolder(t, map[string]string{"generation_config.json": harmless})); err != nil {
			t.Errorf("%s: %v", harmless, err)
		}
	}
}

func FuzzGenerationConfig(f *testing.F) {
	f.Add(`{"eos_token_id": [1, 2], "sequence_bias": [[[1, 2], -3.5]], "exponential_decay_length_penalty": [2, 1.5]}`)
	f.Add(`{"bad_words_ids": [[1], [2, 3]], "suppress_tokens": [-1], "forced_eos_token_id": 3, "stop_strings": ["a"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadGenerationConfig(generationFolder(t, map[string]string{"generation_config.json": text}))
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !strings.Contains(text, "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		s := c.Decoding()
		if s.Active() && s.Validate(1<<20) == nil {
			return
		}
	})
}
