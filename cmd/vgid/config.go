package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/vgid/config"
)

// configFlags are --config and one flag for every field of the configuration.
// All of them are text flags, whatever the field's type: config.Load reads their values. What no flag gives
// stays as the file has it, and what the file leaves out as the default.
func configFlags() []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{
		Name: "config", Aliases: []string{"c"},
		Usage: "YAML `FILE`, or a built-in configuration: " + strings.Join(config.Builtins(), ", "),
	}}
	// A setting that has a shorter flag beside its path.
	short := map[string]string{"unlearn.preset": "preset"}
	for _, f := range config.Fields() {
		usage := f.Doc
		if len(f.Values) > 0 {
			usage += " (" + strings.Join(f.Values, " | ") + ")"
		}
		if f.List {
			usage += " (" + config.ListHelp + ")"
		}
		fl := &cli.StringFlag{Name: f.Path, Usage: usage, DefaultText: f.Default, Category: "CONFIGURATION (also in the YAML file; true and false ones may stand alone for true)"}
		if a := short[f.Path]; a != "" {
			fl.Aliases = []string{a}
		}
		flags = append(flags, fl)
	}
	return flags
}

// loadConfig resolves --config and the flags that were given.
// Only flags that were given are passed on: an unset one's empty value would replace the file's.
// What is wrong with a flag's value is said of the flag; other errors name file and line.
func loadConfig(c *cli.Context) (config.Config, error) {
	over := map[string]string{}
	for _, f := range config.Fields() {
		if c.IsSet(f.Path) {
			over[f.Path] = c.String(f.Path)
		}
	}
	cfg, err := config.Load(c.String("config"), over)
	var bad *config.OverrideError
	if errors.As(err, &bad) {
		err = fmt.Errorf("--%s: %w", bad.Path, bad.Err)
	}
	return cfg, err
}

// configCommand prints YAML that --config reads back, with each field's meaning as a comment.
// What it prints is resolved as a run would resolve it: preset, file and flags.
func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "show configurations", HideHelpCommand: true,
		Subcommands: []*cli.Command{{
			Name: "show", Usage: "print the resolved configuration with every default and what it means",
			Flags: configFlags(),
			Action: func(c *cli.Context) error {
				if err := cmdline.FlagsOnly(c); err != nil {
					return err
				}
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return cfg.WriteYAML(os.Stdout, true)
			},
		}},
	}
}
