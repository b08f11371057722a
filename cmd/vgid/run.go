package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/eval/metric"
	"vgid/vgid/run"
)

// runCommand takes all its settings from the configuration; the stages are those of vgid/run.
func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "the whole job: benchmark, vanilla and gold model, unlearning, evaluation, report",
		Flags: configFlags(),
		Action: func(c *cli.Context) error {
			return withJob(c, func(ctx context.Context, j *run.Job) error { return j.Run(ctx) })
		},
	}
}

// evalCommand evaluates any folder as a run's stage would. --model and --as are flags and no settings: they
// belong to one call and are not part of a run.
// Which model is asked is the flag's to say, whatever model.base and the like are.
func evalCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.StringFlag{Name: "model", Usage: "`FOLDER` of the model, or its ORG/NAME on the hub"},
		&cli.StringFlag{Name: "as", Usage: "`NAME` of the model in the table and in summary.json", Value: "model"},
	}, configFlags()...)
	return &cli.Command{
		Name: "eval", Usage: "ask a model the benchmark's questions", Flags: flags,
		Action: func(c *cli.Context) error {
			if err := cmdline.Need(c, "model"); err != nil {
				return err
			}
			return withJob(c, func(ctx context.Context, j *run.Job) error {
				return j.RunEval(ctx, c.String("as"), c.String("model"))
			})
		},
	}
}

// compared are the keys of the metrics that score prints: those that look at two texts alone.
func compared() (keys []string) {
	for _, m := range metric.All() {
		if m.Compare != nil {
			keys = append(keys, m.Key)
		}
	}
	return keys
}

// scoreCommand needs no model: it lets other programs' answers be measured with the same metrics.
func scoreCommand() *cli.Command {
	return &cli.Command{
		Name: "score", Usage: "means of " + strings.Join(compared(), ", ") + " of predictions against references, as JSON",
		ArgsUsage: "FILE.jsonl", Description: `Each line of FILE is {"prediction": text, "reference": text}.`,
		Action: func(c *cli.Context) error {
			// One file, since the means are over all pairs and two files would have means of their own.
			if c.NArg() != 1 {
				return cmdline.Errorf(c, "%d arguments given, want one: a file of JSON lines {\"prediction\": text, \"reference\": text}", c.NArg())
			}
			r, err := metric.ScoreFile(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			cmdline.Tell(r.Notices)
			return cmdline.JSON(r)
		},
	}
}
