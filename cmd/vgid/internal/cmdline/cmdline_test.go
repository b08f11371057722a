package cmdline

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"vgid/model/cuda"
)

// run gives the error of an action of "vgid data build" that is called with args.
func run(args string, action cli.ActionFunc) error {
	app := &cli.App{
		Name: "vgid", Writer: io.Discard, ErrWriter: io.Discard, ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{{Name: "data", Subcommands: []*cli.Command{{Name: "build", Action: action, Flags: []cli.Flag{
			&cli.StringFlag{Name: "out"}, &cli.StringFlag{Name: "in"}, &cli.IntFlag{Name: "rounds", Value: 1},
			&cli.IntSliceFlag{Name: "threads", Value: cli.NewIntSlice(1, 2)}, &cli.IntFlag{Name: "r", Value: 16}, &cli.StringFlag{Name: "device"}, TargetsFlag(), MethodFlag(),
		}}}}},
	}
	return app.Run(append([]string{"vgid", "data", "build"}, strings.Fields(args)...))
}

func TestChecks(t *testing.T) {
	needs := func(c *cli.Context) error { return FlagsOnly(c, "out", "in") }
	positive := func(c *cli.Context) error { return Positive(c, "rounds", "threads") }
	natural := func(c *cli.Context) error { return NotNegative(c, "rounds", "threads") }
	device := func(c *cli.Context) error { _, err := Device(c); return err }
	precision := func(name, device string) cli.ActionFunc {
		return func(c *cli.Context) error {
			p, err := Precision(c, name, device)
			if err == nil && p != cuda.TF32 {
				t.Errorf("precision %s is %v", name, p)
			}
			return err
		}
	}
	for _, c := range []struct {
		args   string
		action cli.ActionFunc
		want   string // empty: no error
	}{
		{"--out o --in i", needs, ""},
		{"", needs, "data build: --out is missing; vgid data build --help tells more"},
		{"--out o", needs, "data build: --in is missing; vgid data build --help tells more"},
		{"--out o x", needs, `data build: argument "x" is too much: this command takes flags only`},
		{"", positive, ""},
		{"--rounds 0", positive, "data build: --rounds 0: must be at least 1"},
		{"--threads 1024", positive, ""},
		{"--threads 3 --threads -1", positive, "data build: --threads -1: must be at least 1"},
		{"--threads 1025", positive, "data build: --threads 1025: must be at most 1024"},
		{"--rounds 0 --threads 0", natural, ""},
		{"--rounds -1", natural, "data build: --rounds -1: must be at least 0"},
		{"--threads 1025", natural, "data build: --threads 1025: must be at most 1024"},
		{"--device cpu", device, ""},
		{"--device cuda", device, ""},
		{"--device tpu", device, `data build: --device "tpu": must be cpu or cuda`},
		{"", precision("tf32", "cuda"), ""},
		{"", precision("tf32", "cpu"), "data build: --precision tf32 needs --device cuda; the CPU computes in float32"},
		{"", precision("fp4", "cuda"), `data build: --precision "fp4": must be float32, tf32 or bfloat16`},
		{"--method nop", func(c *cli.Context) error { _, err := Method(c); return err }, `data build: --method: "nop" is not one of vgid, graddiff, npo`},
		{"--targets [a", func(c *cli.Context) error { _, err := LoRA(c); return err }, `data build: --targets: "[a" is no list in brackets, as ['a', 'b'] is`},
	} {
		got := ""
		if err := run(c.args, c.action); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestErrorfKeepsTheCause(t *testing.T) {
	if err := run("", func(c *cli.Context) error { return Errorf(c, "--in: %w", fs.ErrNotExist) }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestLoRA(t *testing.T) {
	err := run("--r 4 --targets q_proj,v_proj", func(c *cli.Context) error {
		l, err := LoRA(c)
		if l.R != 4 || l.Alpha != 4 || !slices.Equal(l.Targets, []string{"q_proj", "v_proj"}) {
			t.Errorf("%+v", l)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"": 0, "1": 1, "5GB": 5e9, "500MB": 5e8, "1.5KB": 1500, "2KiB": 2048, "1e-3KB": 1, "1MiB": 1 << 20, "80GiB": 80 << 30, "0.5GiB": 1 << 29,
	} {
		if got, err := ParseSize(s); got != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "-1GB", "GB", "5TB", "5 GB x", "NaN", "Inf", "InfGiB", "1e30GB", "5gb", "0.5", "1e-4KB"} {
		if got, err := ParseSize(s); err == nil || !strings.HasSuffix(err.Error(), "is no size; write 5GB, 500MB or a number of bytes") {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

// Whatever is given is refused, or is a number of bytes that an int64 holds.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"5GB", "0x1p-3", "1e18KB", "GiB", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil && s != "" && n < 1 || err != nil && n != 0 {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	})
}
