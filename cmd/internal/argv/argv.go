// Package argv prepares the command lines of the programs for their flag parser, and words its errors.
package argv

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Flags says of each flag, by its name without dashes, whether it is boolean.
type Flags map[string]bool

// Add takes in flags.
func (f Flags) Add(flags []cli.Flag) {
	for _, fl := range flags {
		_, ok := fl.(*cli.BoolFlag)
		for _, name := range fl.Names() {
			f[name] = ok
		}
	}
}

// Booleans lets a boolean flag stand alone, which means true, and have its value
// as a word of its own: the parser knows --flag=true and one of the two, by the
// flag's type. args begin with flags; from the first other word on they stay as
// they are, and so do flags that are not known.
func (f Flags) Booleans(args []string) []string {
	out := slices.Clone(args)
	for i := 0; i < len(out); i++ {
		name := strings.TrimPrefix(strings.TrimPrefix(out[i], "-"), "-")
		if name == out[i] || name == "" { // a word, or -- behind which there are no flags
			return out
		}
		boolean, known := f[name]
		switch {
		case !known: // --flag=value, too
		case !boolean:
			i++ // its value
		case i+1 < len(out) && (out[i+1] == "true" || out[i+1] == "false"):
			out[i] += "=" + out[i+1]
			out = slices.Delete(out, i+1, i+2)
		default:
			out[i] += "=true"
		}
	}
	return out
}
