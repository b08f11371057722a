package eval_test

import (
	"fmt"

	"vgid/eval"
)

// The metrics compare a prediction with a reference; all lie in [0, 1].
func Example() {
	const reference, prediction = "Ada Lovelace wrote the first program.", "Ada Lovelace wrote programs."
	fmt.Printf("ROUGE-L %.3f\n", eval.Rouge(reference, prediction).RL.F)
	fmt.Printf("BLEU    %.3f\n", eval.Bleu(reference, prediction))
	fmt.Println("cloze  ", eval.ClozeHit("Lovelace", prediction))
	// Output:
	// ROUGE-L 0.800
	// BLEU    0.241
	// cloze   true
}
