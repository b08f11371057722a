package bench

import (
	"cmp"
	"errors"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/vgid/stepbench"
)

// adapterBench reports whether bench step is to measure an adapter.
// The whole quickstart model in a plain step is the one combination that is none.
func adapterBench(c *cli.Context) bool {
	return c.String("shape") != "quickstart" || c.String("step") != "train"
}

// onlyAdapter refuses flags that bench step of the whole quickstart model has
// no use for.
// It refuses them only when they were given: --batch and --tokens have values without that.
func onlyAdapter(c *cli.Context) error {
	for _, f := range []string{"precision", "batch", "tokens"} {
		if c.IsSet(f) {
			return cmdline.Errorf(c, "--%s: is of an adapter's training; give --shape llava-7b or tiny, or --step vgid", f)
		}
	}
	return nil
}

// runAdapter measures a LoRA step. Combinations that would be measured as something else are refused
// rather than corrected: the CPU has no tf32, and the quickstart's samples are no batch.
// Everything that can be refused by the flags alone is refused before a device is opened.
func runAdapter(c *cli.Context, device string) (result, error) {
	if err := cmdline.Positive(c, "batch"); err != nil {
		return nil, err
	}
	if err := cmdline.NotNegative(c, "tokens"); err != nil {
		return nil, err
	}
	shape, step := c.String("shape"), c.String("step")
	// Tokens of a sequence where --tokens is 0; 0 here is a shape that is not known.
	small := map[string]int{"llava-7b": 1024, "tiny": 32, "quickstart": 32}
	switch {
	case small[shape] == 0:
		return nil, cmdline.Errorf(c, "--shape %q: must be quickstart, llava-7b or tiny", shape)
	case step != "train" && step != "vgid":
		return nil, cmdline.Errorf(c, "--step %q: must be train or vgid", step)
	case c.IsSet("samples"):
		return nil, cmdline.Errorf(c, "--samples: is of the whole quickstart model; an adapter's step has --batch")
	}
	// Without a flag it is what a user of the device would take.
	precision := cmp.Or(c.String("precision"), map[string]string{"cpu": "float32", "cuda": "bfloat16"}[device])
	p, err := cmdline.Precision(c, precision, device)
	if err != nil {
		return nil, err
	}
	// bench_adapter.py is started for a GPU alone.
	if device == "cpu" && c.String("python") != "" {
		return nil, cmdline.Errorf(c, "--python: an adapter is compared with PyTorch on a GPU only; give --device cuda")
	}
	o := stepbench.AdapterOptions{
		Shape: shape, VGID: step == "vgid", Batch: c.Int("batch"), Tokens: cmp.Or(c.Int("tokens"), small[shape]),
		Steps: c.Int("steps"), Rounds: c.Int("rounds"),
		PyTorch: peer(c),
		Open: func() (backend.Backend, error) {
			if device == "cuda" {
				return cuda.Open(0, cuda.Options{Precision: p, Warn: cmdline.Warn})
			}
			return cpu.New(0), nil
		},
	}
	// The device is opened there, once the shape is known to be one that can be measured.
	row, err := stepbench.RunAdapter(c.Context, o)
	var alone *stepbench.NoPeerError
	if errors.As(err, &alone) {
		return nil, cmdline.Errorf(c, "shape %s has no counterpart in PyTorch for --step vgid; take llava-7b or tiny", alone.Shape)
	}
	if err != nil {
		return nil, cmdline.Errorf(c, "%w", err)
	}
	return row, nil
}
