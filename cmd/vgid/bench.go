package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"vgid/collective/collbench"
	"vgid/model/backend"
	"vgid/model/cpu/gemmbench"
	"vgid/model/cuda"
	"vgid/vgid/stepbench"
)

func benchCommand() *cli.Command {
	jsonFlag := &cli.BoolFlag{Name: "json", Usage: "print JSON instead of a table"}
	threads := &cli.IntSliceFlag{Name: "threads", Usage: "numbers of threads, each measured", Value: cli.NewIntSlice(1, 2)}
	return &cli.Command{
		Name: "bench", Usage: "measure this machine", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			benchTokenize(),
			benchLoad(),
			{
				Name: "gemm", Usage: "matrix products, beside OpenBLAS where it is installed",
				Flags: []cli.Flag{jsonFlag, threads},
				Action: func(c *cli.Context) error {
					if err := positive(c, "threads"); err != nil {
						return err
					}
					r, err := gemmbench.Run(c.Context, gemmbench.Options{Threads: c.IntSlice("threads"), OpenBLAS: true})
					if err != nil {
						return err
					}
					return show(c, r, r.Table)
				},
			},
			{
				Name: "step", Usage: "training steps of the quickstart model, or of a LoRA adapter on another shape, beside PyTorch where there is one",
				Flags: []cli.Flag{
					jsonFlag, threads,
					&cli.StringFlag{Name: "python", Usage: "`INTERPRETER` with torch; without it vgid is measured alone"},
					&cli.StringFlag{Name: "script", Usage: "PyTorch's side of the comparison; empty: bench_step.py or bench_adapter.py in model/testdata"},
					&cli.StringFlag{Name: "device", Usage: "cpu, or cuda for the first GPU", Value: "cpu"},
					&cli.StringFlag{Name: "shape", Usage: "quickstart, or llava-7b or tiny with random weights and an adapter of rank 16", Value: "quickstart"},
					&cli.StringFlag{Name: "step", Usage: "train, or vgid: teacher and student, of an adapter", Value: "train"},
					&cli.StringFlag{Name: "precision", Usage: "of an adapter's training: float32, or tf32 or bfloat16 on cuda; empty: bfloat16 on cuda, float32 on the CPU"},
					&cli.IntFlag{Name: "batch", Usage: "sequences of an adapter's step", Value: 4},
					&cli.IntFlag{Name: "tokens", Usage: "tokens of each, its image's included; 0: 1024, or 32 for small shapes"},
					&cli.IntFlag{Name: "samples", Usage: "samples of a step", Value: 32},
					&cli.IntFlag{Name: "steps", Usage: "steps of a round", Value: 15},
					&cli.IntFlag{Name: "rounds", Usage: "rounds of both programs in turn", Value: 3},
				},
				Action: func(c *cli.Context) error {
					if err := positive(c, "threads", "steps", "rounds", "samples"); err != nil {
						return err
					}
					if adapterBench(c) {
						return benchAdapter(c)
					}
					if err := onlyAdapter(c); err != nil {
						return err
					}
					o := stepbench.Options{
						Threads: c.IntSlice("threads"), Steps: c.Int("steps"), Rounds: c.Int("rounds"),
						Python: c.String("python"), Script: cmp.Or(c.String("script"), "model/testdata/bench_step.py"), Samples: c.Int("samples"),
					}
					if err := chooseDevice(c, &o); err != nil {
						return err
					}
					rows, err := stepbench.Run(c.Context, o)
					if err != nil {
						return err
					}
					return show(c, rows, func(w io.Writer) error { return stepbench.Table(w, rows) })
				},
			},
			checkpointCommand(),
			memoryCommand(jsonFlag),
			{
				Name: "collective", Usage: "all-reduce between processes: time, latency, bus bandwidth as NCCL defines it",
				Flags: []cli.Flag{jsonFlag, &cli.IntSliceFlag{Name: "procs", Usage: "numbers of processes, each measured", Value: cli.NewIntSlice(2, 4)}},
				Action: func(c *cli.Context) error {
					r, err := collbench.Run(c.Context, collbench.Options{Procs: c.IntSlice("procs")})
					if err != nil {
						return err
					}
					return show(c, r, func(w io.Writer) error {
						_, err := io.WriteString(w, r.Table())
						return err
					})
				},
			},
		},
	}
}

// chooseDevice lets bench step measure a GPU, once whatever the threads.
func chooseDevice(c *cli.Context, o *stepbench.Options) error {
	switch device := c.String("device"); {
	case device == "cuda" && o.Python != "":
		return fmt.Errorf("--python with --device cuda: PyTorch's side of the comparison runs on the CPU; leave one of the two out")
	case device == "cuda":
		o.Open, o.Threads = func() (backend.Backend, error) { return cuda.Open(0, cuda.Float32) }, []int{1}
	case device != "cpu":
		return fmt.Errorf("--device %q: must be cpu or cuda", device)
	}
	return nil
}

// positive refuses numbers below 1 in the named flags.
func positive(c *cli.Context, flags ...string) error {
	for _, f := range flags {
		values := c.IntSlice(f)
		if values == nil {
			values = []int{c.Int(f)}
		}
		for _, v := range values {
			if v < 1 {
				return fmt.Errorf("%s--%s %d: must be at least 1", command(c), f, v)
			}
			if f == "threads" && v > maxThreads {
				return fmt.Errorf("%s--threads %d: must be at most %d", command(c), v, maxThreads)
			}
		}
	}
	return nil
}

// show prints a result for people or, with --json, for programs.
func show(c *cli.Context, v any, table func(io.Writer) error) error {
	if !c.Bool("json") {
		return table(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
