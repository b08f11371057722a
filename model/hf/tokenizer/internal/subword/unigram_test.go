package subword

import "testing"

// A score is rounded as the reference's JSON reader rounds it, which decides
// between ways to cut a word that score the same.
func TestSerdeFloat(t *testing.T) {
	for in, want := range map[string]float64{
		"-0.43561181362301915": -0.4356118136230191, "-12.563669634938593": -12.563669634938591, // as tokenizers reads them
		"0": 0, "-3": -3, "-1.5": -1.5, "2e3": 2000, "12345678901234567890123.5": 12345678901234567000000,
		"1e-400": 0, "0.25E1": 2.5,
	} {
		if got, err := serdeFloat(in); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
}
