package cmdline

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/cuda"
)

// Device is what --device names, cpu or cuda.
func Device(c *cli.Context) (string, error) {
	d := c.String("device")
	if d != "cpu" && d != "cuda" {
		return "", Errorf(c, "--device %q: must be cpu or cuda", d)
	}
	return d, nil
}

// Precision reads the name of a precision for a device, cpu or cuda.
// One that the CPU lacks is refused, not replaced: what is then measured or estimated would be something else.
func Precision(c *cli.Context, name, device string) (cuda.Precision, error) {
	p, err := cuda.ParsePrecision(name)
	if err != nil {
		return 0, Errorf(c, "--%w", err)
	}
	if device == "cpu" && p != cuda.Float32 {
		return 0, Errorf(c, "--precision %s needs --device cuda; the CPU computes in float32", name)
	}
	return p, nil
}

// Warn tells whoever reads the log of what works on a device, but not as well as it could.
func Warn(line string) { fmt.Fprintln(os.Stderr, "vgid: "+line) }
