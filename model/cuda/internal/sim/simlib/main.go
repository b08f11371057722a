// Simlib builds the simulated device and prints the path of its library, for
// VGID_CUDA_DRIVER.
package main

import (
	"context"
	"fmt"
	"os"

	"vgid/model/cuda/internal/sim"
)

func main() {
	lib, err := sim.Library(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "simlib:", err)
		os.Exit(1)
	}
	fmt.Println(lib)
}
