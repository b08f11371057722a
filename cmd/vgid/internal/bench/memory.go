package bench

import (
	"cmp"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model"
	"vgid/model/plan"
	"vgid/vgid/stepbench"
)

// memory measures what inspect estimates, by taking the step on a model's real folder.
// A step that does not fit is refused, as inspect would say, and not tried.
func memory() *cli.Command {
	return &cli.Command{
		Name: "memory", Usage: "take one step of unlearning on the CPU and compare its peak memory with what inspect estimates",
		Description: `The model is a folder, or what bench checkpoint makes; it needs no tokenizer. The step is VGID's, the teacher's
pass, the student's and the update, or that of another --method, on blank images and text of the given length. 2 sequences stand for one to
forget and one to retain.`,
		Flags: []cli.Flag{
			cmdline.JSONFlag(),
			cmdline.ModelFlag(),
			&cli.BoolFlag{Name: "full", Usage: "train all weights instead of an adapter"},
			&cli.BoolFlag{Name: "recompute", Value: true, Usage: "compute activations again in the backward pass instead of keeping them"},
			&cli.IntFlag{Name: "r", Value: 16, Usage: "rank of the adapter"},
			cmdline.TargetsFlag(),
			cmdline.MethodFlag(),
			cmdline.WorkersFlag(),
			cmdline.WeightsFlag(),
			&cli.IntFlag{Name: "batch", Value: 2, Usage: "sequences of the step, each with one image"},
			&cli.IntFlag{Name: "tokens", Usage: "tokens of a sequence, those of its image included; 0: the image's and 64"},
			cmdline.SideFlag(),
			&cli.IntFlag{Name: "threads", Usage: "0: all processors"},
		},
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Need(c, "model"); err != nil {
				return nil, err
			}
			if err := cmdline.Positive(c, "r", "batch", "image-side", "workers"); err != nil {
				return nil, err
			}
			if err := cmdline.NotNegative(c, "tokens", "threads"); err != nil {
				return nil, err
			}
			// All flags are read before the model is looked for, which may be on a hub.
			lora, err := cmdline.LoRA(c)
			if err != nil {
				return nil, err
			}
			training, err := cmdline.Method(c)
			if err != nil {
				return nil, err
			}
			dir, err := cmdline.ModelFolder(c, "model")
			if err != nil {
				return nil, err
			}
			shape, err := model.ReadConfig(dir)
			if err != nil {
				return nil, err
			}
			// 64 tokens of text beside the image, or as many as the model's positions allow.
			tokens := cmp.Or(c.Int("tokens"), min(shape.SideTokens(c.Int("image-side"))+64, shape.Text.MaxPositions))
			o := stepbench.MemoryOptions{Dir: dir, Step: plan.LoRAStep, Threads: c.Int("threads"), Work: plan.Options{
				Load: model.LoadOptions{Weights: c.String("dtype")}, Batch: c.Int("batch"), Tokens: tokens, Answer: max(1, min(32, tokens/2)),
				Images: 1, Side: c.Int("image-side"), Training: training, LoRA: lora,
			}}
			// The names are put together as plan has them: the kind of step, and how it keeps memory.
			if c.Bool("full") {
				o.Step = plan.FullStep
			}
			if c.Bool("recompute") {
				o.Step += plan.Recompute
			}
			row, err := stepbench.RunMemory(c.Context, o)
			if err != nil {
				return nil, cmdline.Errorf(c, "%w", err)
			}
			return row, nil
		}),
	}
}
