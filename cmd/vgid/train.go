package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"vgid/vgid/run"
)

// trainCommand runs one supervised stage of a run by itself, with the same code and the same folder.
func trainCommand() *cli.Command {
	return &cli.Command{
		Name: "train", Usage: "supervised stages on their own", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{
				Name: "base", Usage: "train the quickstart's base model on its corpus", Flags: configFlags(),
				Action: func(c *cli.Context) error {
					return withJob(c, func(ctx context.Context, j *run.Job) error {
						s, err := j.TrainBase(ctx)
						if err == nil {
							j.Show.Printf("model written to %s", s.Model)
						}
						return err
					})
				},
			},
			{
				Name: "vanilla", Usage: "fine-tune the base model on all people", Flags: configFlags(),
				Action: trainOn("vanilla"),
			},
			{
				Name: "gold", Usage: "fine-tune the base model on the retain set only, the reference for forgetting", Flags: configFlags(),
				Action: trainOn("gold"),
			},
		},
	}
}

// trainOn fine-tunes model.base on the people that the stage of this name is given: all, or those retained.
// The run's other stages are left as they are; a run that is resumed later may keep this one.
func trainOn(name string) cli.ActionFunc {
	return func(c *cli.Context) error {
		return withJob(c, func(ctx context.Context, j *run.Job) error {
			p, err := j.People(ctx)
			if err != nil {
				return err
			}
			from, err := j.Model(ctx, j.Config.Model.Base)
			if err != nil {
				return err
			}
			s, err := j.Reference(ctx, name, from, p)
			if err == nil {
				j.Show.Printf("model written to %s", s.Model)
			}
			return err
		})
	}
}

// unlearnCommand is the run's middle stage alone, on a model that exists already. All ranks take part, and
// rank 0 alone prints (Show), so the last lines appear once.
// There is no evaluation and no report: vgid eval and vgid run make those.
func unlearnCommand() *cli.Command {
	return &cli.Command{
		Name: "unlearn", Usage: "make a model forget the people of the forget split", Flags: configFlags(),
		Description: "Starts from model.vanilla, or from model.base when that is empty.",
		Action: func(c *cli.Context) error {
			return withJob(c, func(ctx context.Context, j *run.Job) error {
				p, err := j.People(ctx)
				if err != nil {
					return err
				}
				ref := j.Config.Model.Vanilla
				if ref == "" {
					ref = j.Config.Model.Base
				}
				from, err := j.Model(ctx, ref)
				if err != nil {
					return err
				}
				s, err := j.Unlearn(ctx, "unlearned", from, p)
				if err != nil {
					return err
				}
				j.Show.Printf("model written to %s", s.Model)
				if s.Adapter != "" {
					j.Show.Printf("adapter written to %s", s.Adapter)
				}
				return nil
			})
		},
	}
}
