package argv

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestBooleans(t *testing.T) {
	f := Flags{}
	f.Add([]cli.Flag{
		&cli.BoolFlag{Name: "json", Aliases: []string{"j"}},
		&cli.StringFlag{Name: "name"},
		&cli.StringFlag{Name: "resume"},
	})
	f["resume"] = true // the parser's type does not say so
	for in, want := range map[string]string{
		"":                            "",
		"--resume":                    "--resume=true",
		"--resume --name x":           "--resume=true --name x",
		"--name x --resume":           "--name x --resume=true",
		"--resume true --name x":      "--resume=true --name x",
		"--resume false --json":       "--resume=false --json=true",
		"--resume=false --name x":     "--resume=false --name x",
		"-resume -j false":            "-resume=true -j=false",
		"--name --resume --json true": "--name --resume --json=true",
		"--name":                      "--name",
		"--name=x --resume maybe":     "--name=x --resume=true maybe",
		"--other --resume":            "--other --resume=true",
		"--resume -- --json":          "--resume=true -- --json",
		"--json word --resume":        "--json=true word --resume",
		"- --resume":                  "- --resume",
	} {
		args := strings.Fields(in)
		if got := strings.Join(f.Booleans(args), " "); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
		if strings.Join(args, " ") != in {
			t.Errorf("%q was changed to %q", in, args)
		}
	}
}
