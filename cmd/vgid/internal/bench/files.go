package bench

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/hf/tokenizer/tokbench"
	"vgid/model/loadbench"
)

// tokenize measures the encoding of texts.
func tokenize() *cli.Command {
	return &cli.Command{
		Name: "tokenize", Usage: "encoding of texts, beside the tokenizers library where there is a Python that has it",
		Flags: []cli.Flag{
			cmdline.JSONFlag(),
			&cli.StringFlag{Name: "model", Usage: "`FOLDER` with tokenizer.json, the file itself, or the model's ORG/NAME on the hub"},
			// A JSON string a line, since texts may hold newlines.
			&cli.StringFlag{Name: "texts", Usage: "`FILE` with a JSON string a line; without it strings of many scripts are made"},
			pythonFlag("tokenizers"),
			// One thread and all of them, so that a row shows what batching over threads brings.
			threadsFlag(1, max(2, runtime.NumCPU())),
			&cli.IntFlag{Name: "strings", Usage: "strings that are made for a round", Value: 20000},
			// Each has other texts, so that no cache of a program knows them.
			&cli.IntFlag{Name: "rounds", Usage: "rounds of all programs in turn, each of other texts", Value: 5},
		},
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Need(c, "model"); err != nil {
				return nil, err
			}
			if err := cmdline.Positive(c, "threads", "strings", "rounds"); err != nil {
				return nil, err
			}
			o := tokbench.Options{Strings: c.Int("strings"), Threads: c.IntSlice("threads"), Rounds: c.Int("rounds"), Python: c.String("python")}
			var err error
			// The file itself may be given, so that one can be measured that lies in no model's
			// folder.
			if file := c.String("model"); filepath.Base(file) == "tokenizer.json" {
				o.Dir = filepath.Dir(file)
			} else if o.Dir, err = cmdline.TokenizerFolder(c, "model"); err != nil {
				return nil, err
			}
			if path := c.String("texts"); path != "" {
				if o.Texts, err = tokbench.ReadTexts(path); err != nil {
					return nil, err
				}
			}
			return tokbench.Run(c.Context, o)
		}),
	}
}

// load measures the loading of a checkpoint.
// Each program gets a process of its own: the peak memory of a process is told once for its
// whole life.
func load() *cli.Command {
	return &cli.Command{
		Name: "load", Usage: "time and memory to load a model's weights, beside safetensors where there is a Python that has it",
		Description: "Every program loads in a process of its own, first only so that a model could use the weights, then reading every byte on one thread.",
		Flags: []cli.Flag{
			cmdline.JSONFlag(),
			&cli.StringFlag{Name: "model", Usage: "`FOLDER` of the model, or its ORG/NAME on the hub"},
			pythonFlag("safetensors and torch"),
			&cli.BoolFlag{Name: "cold", Usage: "also with the files out of the page cache (Linux)"},
			&cli.IntFlag{Name: "rounds", Usage: "rounds of all programs in turn", Value: 3},
		},
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Need(c, "model"); err != nil {
				return nil, err
			}
			if err := cmdline.Positive(c, "rounds"); err != nil {
				return nil, err
			}
			// After the checks: a model on a hub may have to be fetched.
			dir, err := cmdline.ModelFolder(c, "model")
			if err != nil {
				return nil, err
			}
			r, err := loadbench.Run(c.Context, loadbench.Options{Dir: dir, Rounds: c.Int("rounds"), Cold: c.Bool("cold"), Python: c.String("python")})
			return r, withoutCold(err)
		}),
	}
}

// withoutCold adds to an error of a cold start how to do without one.
func withoutCold(err error) error {
	var cold *loadbench.ColdError
	switch {
	case !errors.As(err, &cold):
		return err
	case cold.Do == "":
		return fmt.Errorf("%w; leave --cold out", err)
	}
	return fmt.Errorf("%w, or leave --cold out", err)
}
