package cmdline

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// JSONFlag is --json, which Show heeds.
// JSON has the numbers as they were measured, with their units in the names of fields.
func JSONFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON instead of a table"} }

// Show prints a result for people or, with --json, for programs.
// v is what JSON holds, table what people read; both are of the same numbers.
func Show(c *cli.Context, v any, table func(io.Writer) error) error {
	if !c.Bool("json") {
		return table(os.Stdout)
	}
	return JSON(v)
}

// JSON prints a result for programs.
func JSON(v any) error {
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
