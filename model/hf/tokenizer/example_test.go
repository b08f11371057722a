package tokenizer_test

import (
	"fmt"
	"os"
	"slices"

	"vgid/model/hf/tokenizer"
)

// A byte-level BPE is learned from a text, written as tokenizer.json, and loaded
// as that of any model folder is.
func Example() {
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	corpus := slices.Values([]string{"the cat and the hat and the bat"})
	if err := tokenizer.TrainBPE(dir, corpus, tokenizer.TrainOptions{VocabSize: 300}); err != nil {
		fmt.Println(err)
		return
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode("the bat", false)
	for _, id := range ids {
		fmt.Printf("%q ", tok.Token(id))
	}
	fmt.Printf("%q\n", tok.Decode(ids, false))
	// Output: "the" "Ġ" "b" "at" "the bat"
}
