package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/vgid/people"
)

// dataCommand writes benchmarks. Its flags are its own and not the configuration's: a benchmark is made
// once and then read by many runs, which name its folder as data.dir.
// Only what the command line itself can tell is checked here; the rest is people.Build's.
func dataCommand() *cli.Command {
	return &cli.Command{
		Name: "data", Usage: "build and inspect benchmarks", HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{
				Name: "build", Usage: "write a benchmark in MLLMU-Bench's layout, of fictitious people or of given profiles",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "out", Usage: "`FOLDER` to write"},
					&cli.Uint64Flag{Name: "seed", Usage: "seed of people, faces, views, options and splits"},
					&cli.IntFlag{Name: "people", Usage: "fictitious people to draw", Value: 60},
					&cli.StringFlag{Name: "forget", Usage: "`PERCENTS` to forget, separated by commas: one forget_N and retain_(100-N) pair each", Value: "10"},
					&cli.IntFlag{Name: "views", Usage: "training portraits a person (8; 2 with --profiles)"},
					&cli.IntFlag{Name: "celebrities", Usage: "people of Retain_Set", Value: people.BaseCelebrities},
					&cli.IntFlag{Name: "image-size", Usage: "pixels of a portrait's side", Value: 96},
					&cli.StringFlag{Name: "profiles", Usage: "`FILE` of JSON lines with ID and metadata (question-answer pairs), instead of fictitious people"},
					&cli.StringFlag{Name: "splits", Usage: "`FILE` of a JSON object of set name to IDs; goes with --profiles"},
				},
				Action: func(c *cli.Context) error {
					if err := cmdline.FlagsOnly(c, "out"); err != nil {
						return err
					}
					if c.IsSet("profiles") != c.IsSet("splits") {
						return cmdline.Errorf(c, "--profiles and --splits go together; give both or neither")
					}
					cfg := people.BuildConfig{
						Out: c.String("out"), Seed: c.Uint64("seed"), Views: c.Int("views"),
						Celebrities: c.Int("celebrities"), ImageSize: c.Int("image-size"),
						Profiles: c.String("profiles"), Splits: c.String("splits"),
					}
					// With profiles their file says who there is, and the splits who is forgotten.
					if cfg.Profiles == "" {
						if cfg.People = c.Int("people"); cfg.People < 2 {
							return cmdline.Errorf(c, "--people %d: want at least 2, one to forget and one to retain", cfg.People)
						}
						// What a percentage leaves of so many people is for Build to judge.
						for _, p := range strings.Split(c.String("forget"), ",") {
							n, err := strconv.Atoi(strings.TrimSpace(p))
							if err != nil {
								return fmt.Errorf("--forget: %q is not a percentage", p)
							}
							cfg.ForgetPercents = append(cfg.ForgetPercents, n)
						}
					}
					// What the flags leave at 0 takes the builder's default, which depends on the profiles.
					sum, err := people.Build(c.Context, cfg)
					if err != nil {
						return err
					}
					return printSets(sum)
				},
			},
		},
	}
}

// printSets shows what was written, a row for each parquet set.
// A set of questions has no pairs and a training set no questions; a 0 says so.
func printSets(sum people.BuildRecord) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "set\tpeople\timages\tquestions\ttraining pairs\t")
	for _, s := range sum.Sets {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", s.Name, s.People, s.Images, s.Questions, s.Pairs)
	}
	return w.Flush()
}
