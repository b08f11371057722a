package hf_test

import (
	"fmt"
	"os"

	"vgid/model/hf"
)

// A folder's weights are opened once, over one file or many shards, and read
// tensor by tensor as float32, whatever type they are stored as.
func ExampleOpenWeights() {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	tensors := []hf.NamedTensor{{Name: "norm.weight", Shape: []int{2, 2}, DType: "BF16", Data: []float32{1, 2, 3, 0.5}}}
	if err := hf.WriteWeights(dir, tensors, 1<<20); err != nil {
		fmt.Println(err)
		return
	}

	weights, err := hf.OpenWeights(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer weights.Close()
	for _, name := range weights.Names() {
		info, _ := weights.Info(name)
		values := make([]float32, 4)
		if err := weights.ReadF32(name, values); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, info.DType, info.Shape, values)
	}
	// Output: norm.weight BF16 [2 2] [1 2 3 0.5]
}
