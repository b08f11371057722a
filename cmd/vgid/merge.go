package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/model/hf/modeldir"
	"vgid/vgid/folder"
)

// mergeCommand writes a folder that needs no adapter, for programs that read none.
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
			if err := noArgs(c); err != nil {
				return err
			}
			if err := need(c, "model", "adapter", "out"); err != nil {
				return err
			}
			shard, err := parseSize(c.String("max-shard"))
			if err != nil {
				return fmt.Errorf("--max-shard %w", err)
			}
			o := folder.MergeOptions{DType: c.String("dtype"), MaxShardBytes: shard, AnyBase: c.Bool("any-base")}
			base, err := modelFolder(c, "model")
			if err != nil {
				return err
			}
			adapter, err := modelFolder(c, "adapter")
			if err != nil {
				return err
			}
			d := modeldir.Open(base)
			defer d.Close()
			if err := folder.Merge(c.Context, d, adapter, c.String("out"), o); err != nil {
				return err
			}
			fmt.Println("model written to", c.String("out"))
			return nil
		},
	}
}

// parseSize reads a number of bytes: 5GB and 500MB as on disks, 5GiB and
// 500MiB as in memory. Empty is 0.
// Both kinds of units are taken as what they mean, since transformers' max_shard_size is in the first and
// memory in the second. What would not fit an int64 or is not above 0 is refused.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, u := range []struct {
		suffix string
		bytes  float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"", 1}} {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || !(v > 0 && v*u.bytes < 1<<62) {
				break
			}
			return int64(v * u.bytes), nil
		}
	}
	return 0, fmt.Errorf("%q is no size; write 5GB, 500MB or a number of bytes", s)
}
