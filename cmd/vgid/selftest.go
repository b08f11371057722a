package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/vgid/selftest"
)

// selftestCommand tells on a user's machine what the tests tell on ours: whether this driver and this card
// compute what the CPU computes. Lines go to standard output as they come; the exit status is 0 if all
// agree.
func selftestCommand() *cli.Command {
	return &cli.Command{
		Name: "selftest", Usage: "compare a GPU with the CPU: every operation on random shapes, then a few training steps", HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "device", Usage: "cuda", Value: "cuda"},
			&cli.IntFlag{Name: "ordinal", Usage: "which of the visible GPUs"},
			&cli.Uint64Flag{Name: "seed", Usage: "of shapes and values"},
			&cli.IntFlag{Name: "rounds", Usage: "random shapes of each operation", Value: 5},
			&cli.IntFlag{Name: "steps", Usage: "training steps, in float32 and, five at most, in bfloat16; 0: none", Value: 5},
			&cli.BoolFlag{Name: "large", Usage: "time the operations on shapes of a 7B model, too", Value: true},
		},
		Action: func(c *cli.Context) (err error) {
			if err := cmdline.FlagsOnly(c); err != nil {
				return err
			}
			if d := c.String("device"); d != "cuda" {
				return cmdline.Errorf(c, "--device %q: only cuda is compared with the CPU", d)
			}
			dev, err := cuda.Open(c.Int("ordinal"), cuda.Options{Precision: cuda.Float32, Warn: cmdline.Warn})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, dev.Close()) }()
			reference := cpu.New(0)
			defer reference.Close()
			// Shapes of a 7B model are out of a simulated device's reach.
			lines, simulated := cuda.Describe(dev)
			for _, line := range lines {
				fmt.Println(line)
			}
			// Float32 first: what fails there is a fault of a kernel, what fails in bfloat16 alone may be
			// of its rounding.
			err = selftest.Run(c.Context, dev, reference, selftest.Options{
				Seed: c.Uint64("seed"), Rounds: c.Int("rounds"), Steps: c.Int("steps"), Large: c.Bool("large") && !simulated,
			}, os.Stdout)
			if err != nil || c.Int("steps") <= 0 {
				return err
			}
			// The precision belongs to an opened device, so bfloat16 needs a second one.
			narrow, err := cuda.Open(c.Int("ordinal"), cuda.Options{Precision: cuda.BFloat16, Warn: cmdline.Warn})
			if err != nil {
				return err
			}
			return errors.Join(selftest.Train(c.Context, narrow, reference, min(5, c.Int("steps")), os.Stdout), narrow.Close())
		},
	}
}
