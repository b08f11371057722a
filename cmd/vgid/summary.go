package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/eval"
	"vgid/eval/report"
)

// summaryCommand reads the summary.json of each folder and no more, so it works on runs that were copied
// from elsewhere without their models.
// Models are compared between runs by their names in the summaries.
func summaryCommand() *cli.Command {
	return &cli.Command{
		Name: "summary", Usage: "mean and spread of runs that differ in their seed", ArgsUsage: "RUN-FOLDER …",
		Flags: []cli.Flag{cmdline.JSONFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return fmt.Errorf("vgid summary: give one or more run folders, for example runs/quickstart")
			}
			var runs []*eval.Summary
			dirs := slices.DeleteFunc(c.Args().Slice(), isTargets)
			if len(dirs) == 0 {
				return fmt.Errorf("vgid summary: no run folder among %s", strings.Join(c.Args().Slice(), ", "))
			}
			for _, dir := range dirs {
				s, err := eval.ReadSummary(filepath.Join(dir, "summary.json"))
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("vgid summary: %w: it is written at the end of vgid run and vgid eval; finish the run with --resume, or leave it out", err)
				}
				if err != nil {
					return err
				}
				runs = append(runs, s)
			}
			// Over refuses runs that cannot be averaged, before anything is printed.
			all, err := report.Over(runs)
			if err != nil {
				return err
			}
			return cmdline.Show(c, all, func(w io.Writer) error {
				table, err := report.SpreadTable(runs)
				if err != nil {
					return err
				}
				_, err = io.WriteString(w, table)
				return err
			})
		},
	}
}

// isTargets tells the folder that lists where the metrics of all runs are, which
// stands among their folders.
// A shell's runs/* names it along with the runs.
func isTargets(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "summary.json"))
	return filepath.Base(filepath.Clean(dir)) == "metrics" && errors.Is(err, fs.ErrNotExist)
}
