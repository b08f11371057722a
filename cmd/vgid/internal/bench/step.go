package bench

import (
	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/backend"
	"vgid/model/cuda"
	"vgid/vgid/stepbench"
)

// step has two kinds of step behind one name: of all weights of the quickstart model, the default, and
// of an adapter on another shape. Flags of the one are refused with the other (onlyAdapter, runAdapter).
// Open stays nil for the CPU, which is then opened with each number of threads.
func step() *cli.Command {
	return &cli.Command{
		Name: "step", Usage: "training steps of the quickstart model, or of a LoRA adapter on another shape, beside PyTorch where there is one",
		Flags: []cli.Flag{
			cmdline.JSONFlag(), threadsFlag(1, 2), pythonFlag("torch"),
			&cli.StringFlag{Name: "script", Usage: "`FILE` to run as PyTorch's side of the comparison; empty: the script that is built in"},
			&cli.StringFlag{Name: "device", Usage: "cpu, or cuda for the first GPU", Value: "cpu"},
			&cli.StringFlag{Name: "shape", Usage: "quickstart, or llava-7b or tiny with random weights and an adapter of rank 16", Value: "quickstart"},
			&cli.StringFlag{Name: "step", Usage: "train, or vgid: teacher and student, of an adapter", Value: "train"},
			// Empty and no default: which precision is meant depends on the device.
			&cli.StringFlag{Name: "precision", Usage: "of an adapter's training: float32, or tf32 or bfloat16 on cuda; empty: bfloat16 on cuda, float32 on the CPU"},
			&cli.IntFlag{Name: "batch", Usage: "sequences of an adapter's step", Value: 4},
			&cli.IntFlag{Name: "tokens", Usage: "tokens of each, its image's included; 0: 1024, or 32 for small shapes"},
			&cli.IntFlag{Name: "samples", Usage: "samples of a step", Value: 32},
			&cli.IntFlag{Name: "steps", Usage: "steps of a round", Value: 15},
			&cli.IntFlag{Name: "rounds", Usage: "rounds of both programs in turn", Value: 3},
		},
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Positive(c, "threads", "steps", "rounds", "samples"); err != nil {
				return nil, err
			}
			device, err := cmdline.Device(c)
			if err != nil {
				return nil, err
			}
			// The two kinds share steps, rounds, device and Python, and differ in all else.
			if adapterBench(c) {
				return runAdapter(c, device)
			}
			// A flag that would be passed over would make a result that is not what was asked for.
			if err := onlyAdapter(c); err != nil {
				return nil, err
			}
			o := stepbench.Options{
				Threads: c.IntSlice("threads"), Steps: c.Int("steps"), Rounds: c.Int("rounds"),
				PyTorch: peer(c), Samples: c.Int("samples"),
			}
			if device == "cuda" {
				if err := onCUDA(c, &o); err != nil {
					return nil, err
				}
			}
			return stepbench.Run(c.Context, o)
		}),
	}
}

// peer is PyTorch's side of a step.
// An empty Python leaves it out of the comparison.
func peer(c *cli.Context) stepbench.PyTorch {
	return stepbench.PyTorch{Python: c.String("python"), Script: c.String("script")}
}

// onCUDA lets bench step measure a GPU, once whatever the threads.
// On a GPU the host's threads do next to nothing, and measuring each number of them would repeat one row.
func onCUDA(c *cli.Context, o *stepbench.Options) error {
	// vgid on a GPU beside PyTorch on a CPU would be read as a comparison of the two.
	if o.Python != "" {
		return cmdline.Errorf(c, "--python with --device cuda: PyTorch's side of the comparison runs on the CPU; leave one of the two out")
	}
	o.Threads = []int{1}
	o.Open = func() (backend.Backend, error) {
		return cuda.Open(0, cuda.Options{Precision: cuda.Float32, Warn: cmdline.Warn})
	}
	return nil
}
