package metric_test

import (
	"fmt"

	"vgid/eval/metric"
)

// The metrics compare a prediction with a reference; all lie in [0, 1].
func Example() {
	const reference, prediction = "Ada Lovelace wrote the first program.", "Ada Lovelace wrote programs."
	fmt.Printf("ROUGE-L %.3f\n", metric.Rouge(reference, prediction).RL.F)
	fmt.Printf("BLEU    %.3f\n", metric.Bleu(reference, prediction))
	fmt.Println("cloze  ", metric.ClozeHit("Lovelace", prediction))
	// Output:
	// ROUGE-L 0.800
	// BLEU    0.241
	// cloze   true
}
