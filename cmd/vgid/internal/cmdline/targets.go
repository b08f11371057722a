package cmdline

import (
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/vgid/config"
)

// TargetsFlag is --targets of commands that say or measure what an adapter takes.
// The default is the configuration's, so that what is shown is what a run would train.
func TargetsFlag() cli.Flag {
	return &cli.StringFlag{Name: "targets", Value: strings.Join(config.Default().Unlearn.LoRA.Targets, ","),
		Usage: "linear layers that get an adapter, written as unlearn.lora.targets (" + config.ListHelp + ")"}
}

// Targets are the layers that --targets names, split as the configuration splits its list.
func Targets(c *cli.Context) ([]string, error) {
	list, err := config.SplitList(c.String("targets"))
	if err != nil {
		err = Errorf(c, "--targets: %w", err)
	}
	return list, err
}
