package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/cmd/internal/argv"
	"vgid/cmd/vgid/internal/cmdline"
	"vgid/vgid/config"
)

// shortAnswers makes commands answer a wrong command line by one line that
// names the fault, instead of by pages of help around it.
func shortAnswers(cmds []*cli.Command) {
	for _, c := range cmds {
		c.OnUsageError = usageError
		if len(c.Subcommands) > 0 {
			c.Action = unknownCommand
			shortAnswers(c.Subcommands)
		}
	}
}

// bareBooleans lets boolean flags stand alone, those of the configuration, too,
// which the parser takes for texts.
// Flags of the configuration are texts to the parser (configFlags), and `--resume --seed 3` would give
// resume the value "--seed". Behind the commands' names only, because these are no flags' values.
// args begin with the program's name, as os.Args does.
func bareBooleans(args []string) []string {
	// Commands may be nested (bench step), and the flags begin behind the last of their names.
	n := 1 // the program, then commands
	for n < len(args) && !strings.HasPrefix(args[n], "-") {
		n++
	}
	return slices.Concat(args[:min(n, len(args))], flagKinds(app().Commands).Booleans(args[min(n, len(args)):]))
}

// flagKinds are the flags of all commands.
// One table serves all commands, as a name means the same in each: a boolean one stays boolean.
// Flags of the configuration are text flags whose kind the configuration knows.
func flagKinds(cmds []*cli.Command) argv.Flags {
	kinds := argv.Flags{}
	var add func(cmds []*cli.Command)
	add = func(cmds []*cli.Command) {
		for _, c := range cmds {
			kinds.Add(c.Flags)
			add(c.Subcommands)
		}
	}
	add(cmds)
	for _, f := range config.Fields() {
		// A flag of a command may have the path of a setting; boolean in one means boolean in both.
		kinds[f.Path] = kinds[f.Path] || f.Bool
	}
	return kinds
}

// unknownCommand is the action of what has subcommands: it runs when none of
// them was named.
// Without a name it shows the help of what there is, which is no error.
func unknownCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	for _, sub := range c.Command.Subcommands {
		names = append(names, sub.Name)
	}
	name := c.Args().First()
	return fmt.Errorf("unknown command %q%s", name, config.DidYouMean(name, names))
}

// usageError answers a command line that the parser cannot read.
// c is of the command that could be found; of a flag before any command that is the program.
func usageError(c *cli.Context, err error, _ bool) error {
	help := c.Command.HelpName + " --help"
	return cmdline.Errorf(c, "%w", argv.UsageError(err, help, func(flag string) string {
		if near := nearestFlags(flag, c.Command.Flags); len(near) > 0 {
			return "did you mean --" + strings.Join(near, " or --") + "?"
		}
		return help + " lists them"
	}))
}

// nearestFlags are the fields that a flag without its groups stands for (lr
// for train.optim.lr), or else the one flag of a name much like it.
// People know a setting by its last name; where several groups have it, all are offered.
func nearestFlags(name string, flags []cli.Flag) []string {
	var all, fields []string
	for _, f := range flags {
		for _, n := range f.Names() {
			all = append(all, n)
			if strings.HasSuffix(n, "."+name) {
				fields = append(fields, n)
			}
		}
	}
	// Before names that are much alike: a last name that is right is no slip.
	if len(fields) > 0 {
		return fields
	}
	if near := config.Nearest(name, all); near != "" {
		return []string{near}
	}
	return nil
}
