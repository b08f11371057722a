package main

import (
	"fmt"
	"testing"

	"vgid/model/backend"
)

// Memory that runs out is told in one line, with the settings that lower what it
// was wanted for, however deep the error lies.
func TestMemoryErrorSaysWhatHelps(t *testing.T) {
	held := backend.MemoryUse{backend.Weights: 3 << 30, backend.Activations: 1 << 20}
	for p, helps := range map[backend.Purpose]string{
		backend.Other:       "lower the batch or take a larger card",
		backend.Weights:     "take a smaller model, or a larger card",
		backend.Gradients:   "train a LoRA adapter instead of all weights (--train.lora.r, --unlearn.lora.r), or one of lower rank",
		backend.Activations: "lower the batch (--train.batch, --unlearn.batch_forget, --unlearn.batch_retain, --eval.batch_tokens) or add workers",
	} {
		err := fmt.Errorf("vanilla: %w", &backend.MemoryError{Device: "GPU", Purpose: p, Asked: 5 << 20, Held: held, Free: 1 << 20, Total: 4 << 30})
		want := fmt.Sprintf("vanilla: GPU has no memory for 5.0 MiB of %v: this process holds 3.0 GiB of weights, 1.0 MiB of activations; 1.0 MiB of 4.0 GiB are free; %s", p, helps)
		if got := inALine(err); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
