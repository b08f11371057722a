package bench

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model"
	"vgid/model/hf"
	"vgid/vgid/stepbench"
)

// checkpoint writes a folder that loads like a real one, for machines where the real weights are not
// to be had. Weights are drawn by seed, so that two machines can make the same folder.
func checkpoint() *cli.Command {
	return &cli.Command{
		Name: "checkpoint", Usage: "write a model folder of a known shape with random weights, to measure loading and steps of its size",
		Description: "The folder has no tokenizer and no image processor. llava-7b takes 14.13 GB in bfloat16.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "shape", Usage: "llava-7b, tiny or quickstart", Value: "llava-7b"},
			&cli.IntFlag{Name: "layers", Usage: "layers of the decoder; 0: the shape's"},
			&cli.StringFlag{Name: "dtype", Usage: "float32, bfloat16 or float16", Value: "bfloat16"},
			&cli.StringFlag{Name: "max-shard", Usage: "largest `SIZE` of a weight file", Value: "5GB"},
			&cli.Uint64Flag{Name: "seed", Usage: "of the weights"},
			&cli.StringFlag{Name: "out", Usage: "`FOLDER` to write"},
		},
		Action: func(c *cli.Context) error {
			if err := cmdline.FlagsOnly(c, "out"); err != nil {
				return err
			}
			if files, err := os.ReadDir(c.String("out")); err == nil && len(files) > 0 { // perhaps a model with real weights
				return cmdline.Errorf(c, "--out %s: the folder exists and is not empty; choose another", c.String("out"))
			}
			if err := cmdline.NotNegative(c, "layers"); err != nil {
				return err
			}
			shard, err := cmdline.ParseSize(c.String("max-shard"))
			if err != nil {
				return cmdline.Errorf(c, "--max-shard %w", err)
			}
			// A shape that is not known is refused before anything is written.
			shape, _, err := stepbench.Shape(c.String("shape"))
			if err != nil {
				return cmdline.Errorf(c, "--%w", err)
			}
			// Fewer layers make a model of the same kinds of tensors that fits a small disk.
			if n := c.Int("layers"); n > 0 {
				shape.Text.Layers = n
			}
			// The type of the tensors in the files, rounded from the float32 that are drawn.
			o := model.SaveOptions{DType: c.String("dtype"), MaxShardBytes: shard}
			err = hf.ReplaceFolder(c.String("out"), func(dir string) error {
				return model.WriteRandom(c.Context, dir, shape, c.Uint64("seed"), o)
			})
			if err != nil {
				return err
			}
			fmt.Println("model written to", c.String("out"))
			return nil
		},
	}
}
