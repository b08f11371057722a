package argv

import (
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// The messages are the parser's own, so that one that it words otherwise is found out.
func TestUsageError(t *testing.T) {
	app := &cli.App{
		Name: "p", Writer: io.Discard, ErrWriter: io.Discard,
		Flags: []cli.Flag{&cli.IntFlag{Name: "n"}, &cli.BoolFlag{Name: "b"}},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return UsageError(err, "p --help", func(flag string) string { return "no " + flag })
		},
	}
	for args, want := range map[string]string{
		"--n two":   `--n: "two" cannot be read as its value; p --help tells more`,
		"--b=maybe": `--b: "maybe" cannot be read as its value; p --help tells more`,
		"--n":       "flag needs an argument: --n; p --help tells more",
		"--m 1":     "unknown flag --m; no m",
	} {
		if err := app.Run(append([]string{"p"}, strings.Fields(args)...)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
