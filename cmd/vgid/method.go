package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/model"
	"vgid/model/plan"
	"vgid/vgid/train"
)

// methodFlag is --method of commands that say what a step of training takes.
// Its values are those that package train has registered; the first is the default.
func methodFlag() cli.Flag {
	var names []string
	for _, m := range train.Methods() {
		names = append(names, m.Name)
	}
	return &cli.StringFlag{Name: "method", Value: names[0], Usage: "unlearning method whose steps are taken: " + strings.Join(names, ", ")}
}

// method is the training that methodFlag asks for.
func method(c *cli.Context) (plan.Training, error) {
	m, err := train.Named(c.String("method"))
	if err != nil {
		return nil, errorf(c, "--%w", err)
	}
	return func(student *model.Model, full bool, choose func() error) (plan.Trained, error) {
		return m.Sized(student, full, choose)
	}, nil
}
