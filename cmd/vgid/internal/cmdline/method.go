package cmdline

import (
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/model"
	"vgid/model/plan"
	"vgid/vgid/train"
)

// MethodFlag is --method of commands that say what a step of training takes.
// Its values are those that package train has registered; the first is the default.
func MethodFlag() cli.Flag {
	var names []string
	for _, m := range train.Methods() {
		names = append(names, m.Name)
	}
	return &cli.StringFlag{Name: "method", Value: names[0], Usage: "unlearning method whose steps are taken: " + strings.Join(names, ", ")}
}

// Method is the training that MethodFlag asks for.
// plan knows no methods, and train no plans: here the one is put into the other's form.
func Method(c *cli.Context) (plan.Training, error) {
	m, err := train.Named(c.String("method"))
	if err != nil {
		return nil, Errorf(c, "--%w", err)
	}
	return func(student *model.Model, full bool, choose func() error) (plan.Trained, error) {
		return m.Sized(student, full, choose)
	}, nil
}
