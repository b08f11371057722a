package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"vgid/eval"
)

func summaryCommand() *cli.Command {
	return &cli.Command{
		Name: "summary", Usage: "mean and spread of runs that differ in their seed", ArgsUsage: "RUN-FOLDER …",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON instead of a table"}},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return fmt.Errorf("vgid summary: give one or more run folders, for example runs/quickstart")
			}
			var runs []*eval.Summary
			for _, dir := range c.Args().Slice() {
				s, err := eval.ReadSummary(filepath.Join(dir, "summary.json"))
				if err != nil {
					return err
				}
				runs = append(runs, s)
			}
			all, err := eval.Over(runs)
			if err != nil {
				return err
			}
			return show(c, all, func(w io.Writer) error {
				table, err := eval.SpreadTable(runs)
				if err != nil {
					return err
				}
				_, err = io.WriteString(w, table)
				return err
			})
		},
	}
}
