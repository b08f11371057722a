package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/vgid/folder"
)

// mergeCommand writes a folder that needs no adapter, for programs that read none.
// --any-base is for adapters whose config names the base by another path than it has here.
func mergeCommand() *cli.Command {
	return &cli.Command{
		Name: "merge", Usage: "add a PEFT adapter to the weights of its base model",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`FOLDER` of the base model, or its ORG/NAME on the hub"},
			&cli.StringFlag{Name: "adapter", Usage: "`FOLDER` of the adapter, or its ORG/NAME on the hub"},
			&cli.StringFlag{Name: "out", Usage: "`FOLDER` to write"},
			&cli.StringFlag{Name: "dtype", Usage: "float32, bfloat16 or float16; empty: as the base model"},
			&cli.StringFlag{Name: "max-shard", Usage: "largest `SIZE` of a weight file, such as 5GB; empty: the base model's files"},
			&cli.BoolFlag{Name: "any-base", Usage: "take an adapter that says it was made for another base model"},
		},
		Action: func(c *cli.Context) error {
			if err := cmdline.FlagsOnly(c, "model", "adapter", "out"); err != nil {
				return err
			}
			shard, err := cmdline.ParseSize(c.String("max-shard"))
			if err != nil {
				return fmt.Errorf("--max-shard %w", err)
			}
			o := folder.MergeOptions{DType: c.String("dtype"), MaxShardBytes: shard, AnyBase: c.Bool("any-base")}
			// The base model may be a built-in one or come from a hub, and so may the adapter.
			base, adapter, err := cmdline.OpenModel(c)
			if err != nil {
				return err
			}
			defer base.Close()
			err = folder.Merge(c.Context, base, adapter, c.String("out"), o)
			var taken *folder.NotEmptyError
			if errors.As(err, &taken) {
				return fmt.Errorf("--out %w", err)
			}
			if err != nil {
				return err
			}
			fmt.Println("model written to", c.String("out"))
			return nil
		},
	}
}
