// Package cmdline is what the commands of vgid have in common: flags of one meaning in all of them and what
// stands behind these, checks of what was given, how a result and a remark are printed.
//
// It knows no command. An error that it returns or makes (Errorf) begins with the command's name, so that
// it says in a script of several commands which of them it is of.
package cmdline

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Errorf is fmt.Errorf with the command's name in front: "data build: --people 1: …".
// The program's name is put before it by main, once for all errors.
// Errors of libraries that name a file or a field need no command in front, and are passed on.
func Errorf(c *cli.Context, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if name := Name(c); name != "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// Name is a command's name behind the program's: "data build", and empty for the program itself.
func Name(c *cli.Context) string {
	_, path, _ := strings.Cut(c.Command.HelpName, " ")
	return path
}

// Need refuses a command line without one of the named flags.
// It is not the parser's Required, whose message is pages of help.
// An empty text counts as missing: --out "" is no folder.
func Need(c *cli.Context, flags ...string) error {
	for _, f := range flags {
		if c.String(f) == "" {
			return Errorf(c, "--%s is missing; %s --help tells more", f, c.Command.HelpName)
		}
	}
	return nil
}

// FlagsOnly refuses arguments, which are most often a flag without dashes, and a command line
// without one of the needed flags.
func FlagsOnly(c *cli.Context, needed ...string) error {
	if c.NArg() > 0 {
		return Errorf(c, "argument %q is too much: this command takes flags only", c.Args().First())
	}
	return Need(c, needed...)
}

// maxThreads is beyond any machine; more would only wait for each other.
const maxThreads = 1024

// Positive refuses numbers below 1 in the named flags.
// It takes flags of one integer and of several.
func Positive(c *cli.Context, flags ...string) error { return atLeast(c, 1, flags) }

// NotNegative is Positive for flags whose 0 has a meaning of its own.
func NotNegative(c *cli.Context, flags ...string) error { return atLeast(c, 0, flags) }

func atLeast(c *cli.Context, least int, flags []string) error {
	for _, f := range flags {
		values := c.IntSlice(f)
		if values == nil { // the flag is no list
			values = []int{c.Int(f)}
		}
		for _, v := range values {
			if v < least {
				return Errorf(c, "--%s %d: must be at least %d", f, v, least)
			}
			if f == "threads" && v > maxThreads {
				return Errorf(c, "--threads %d: must be at most %d", v, maxThreads)
			}
		}
	}
	return nil
}
