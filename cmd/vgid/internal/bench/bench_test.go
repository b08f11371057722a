package bench

import (
	"fmt"
	"testing"

	"github.com/urfave/cli/v2"
)

// Lists of numbers are read alike by all benches, whether they have a default or not, also
// in a program that splits no lists, as vgid is.
func TestNumbersMayStandBetweenCommas(t *testing.T) {
	for _, args := range [][]string{{"--procs", "2,4", "--bytes", "4096,65536"}, {"--procs", "2", "--procs", "4", "--bytes", "4096", "--bytes", "65536"}} {
		c := collective()
		got := ""
		c.Action = func(c *cli.Context) error {
			got = fmt.Sprint(c.IntSlice("procs"), c.IntSlice("bytes"))
			return nil
		}
		app := &cli.App{Commands: []*cli.Command{c}, DisableSliceFlagSeparator: true}
		if err := app.Run(append([]string{"vgid", "collective"}, args...)); err != nil || got != "[2 4] [4096 65536]" {
			t.Errorf("%v gives %s, %v", args, got, err)
		}
	}
}
