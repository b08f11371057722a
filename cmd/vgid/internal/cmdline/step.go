package cmdline

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/model"
	"vgid/model/plan"
	"vgid/vgid/config"
	"vgid/vgid/train"
)

// The flags of commands that say what a step of training takes: one estimates it and one measures it, and
// their numbers can be compared because both are told the step in the same words.

// TargetsFlag is --targets, which layers get an adapter.
// The default is the configuration's, so that what is shown is what a run would train.
func TargetsFlag() cli.Flag {
	return &cli.StringFlag{Name: "targets", Value: strings.Join(config.Default().Unlearn.LoRA.Targets, ","),
		Usage: "linear layers that get an adapter, written as unlearn.lora.targets (" + config.ListHelp + ")"}
}

// LoRA is the adapter of --targets, split as the configuration splits its list, and --r.
// Alpha is the rank, a scale of 1: no step's memory depends on it.
func LoRA(c *cli.Context) (model.LoRAConfig, error) {
	layers, err := config.SplitList(c.String("targets"))
	if err != nil {
		return model.LoRAConfig{}, Errorf(c, "--targets: %w", err)
	}
	return model.LoRAConfig{R: c.Int("r"), Alpha: float32(c.Int("r")), Targets: layers}, nil
}

// MethodFlag is --method.
// Its values are those that package train has registered; the first is the default.
func MethodFlag() cli.Flag {
	var names []string
	for _, m := range train.Methods() {
		names = append(names, m.Name)
	}
	return &cli.StringFlag{Name: "method", Value: names[0], Usage: "unlearning method whose steps are taken: " + strings.Join(names, ", ")}
}

// WorkersFlag is --workers, among which the optimizer's work is sharded.
func WorkersFlag() cli.Flag {
	return &cli.IntFlag{Name: "workers", Value: 1, Usage: "workers of a run with collective.zero 1: the memory is that of one of them, which has the optimizer's moments of its part"}
}

// Method is the training that MethodFlag and WorkersFlag ask for.
// plan knows no methods, and train no plans: here the one is put into the other's form.
func Method(c *cli.Context) (plan.Training, error) {
	m, err := train.Named(c.String("method"))
	if err != nil {
		return nil, Errorf(c, "--%w", err)
	}
	return func(ctx context.Context, student *model.Model, full bool, choose func() error) (plan.Trained, error) {
		return m.Sized(ctx, student, full, c.Int("workers"), choose)
	}, nil
}

// WeightsFlag is --dtype of weights that are in memory, as model.LoadOptions has it.
func WeightsFlag() cli.Flag {
	return &cli.StringFlag{Name: "dtype", Value: "auto", Usage: "how weights are kept in memory: float32, bfloat16, or auto, as in the files"}
}

// SideFlag is --image-side: LLaVA's tower has one size, Qwen2-VL's makes as many tokens as an image has patches.
func SideFlag() cli.Flag {
	return &cli.IntFlag{Name: "image-side", Value: 448, Usage: "side of the images in `PIXELS`, for towers that take any size"}
}
