package argv

import (
	"fmt"
	"regexp"
	"strings"
)

// What package flag says of a value that is none of the flag's kind.
// The first group is the value in its quotes, the second the flag's name without dashes.
var noValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-*([^:]+): `)

// One dash is what package flag writes; flags of the programs have two.
var oneDash = regexp.MustCompile(`(flag |argument: )-\b`)

// UsageError rewords what package flag says. It reads those messages, as the package has no types for them;
// one that it does not know is passed on with two dashes.
// help is the command line that shows help; hint says what to do about an unknown flag.
func UsageError(err error, help string, hint func(flag string) string) error {
	if m := noValue.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("--%s: %s cannot be read as its value; %s tells more", m[2], m[1], help)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
		name = strings.TrimLeft(name, "-")
		return fmt.Errorf("unknown flag --%s; %s", name, hint(name))
	}
	return fmt.Errorf("%s; %s tells more", oneDash.ReplaceAllString(err.Error(), "$1--"), help)
}
