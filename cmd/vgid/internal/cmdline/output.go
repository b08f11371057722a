package cmdline

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// Show prints a result for people or, with --json, for programs.
// v is what JSON holds, table what people read; both are of the same numbers.
func Show(c *cli.Context, v any, table func(io.Writer) error) error {
	if !c.Bool("json") {
		return table(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Tell prints what a user should know beside a command's result.
// It goes to standard error: what is piped from the command is its result alone.
func Tell(notices []string) {
	for _, n := range notices {
		fmt.Fprintln(os.Stderr, "vgid: note: "+n)
	}
}

// Warn tells whoever reads the log of what works, but not as well as it could.
func Warn(line string) { fmt.Fprintln(os.Stderr, "vgid: "+line) }
