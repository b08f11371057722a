package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

const head = `NOTICE

The licence of vgid itself is in the file LICENSE. Its binaries are linked with the modules below, by their
authors and under their licences. "make notice" writes this list; "make licences" collects the full texts, which
belong beside a binary that is passed on, in bin/licences.
`

// notice is the list: for each module its version, the names of its licences
// (SPDX) and the lines that say whose it is.
// Nothing in it depends on the machine or on the time, so that a test compares it with the
// file in docs. A module without a licence that is known is an error.
func notice(modules []module) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for _, m := range modules {
		var names, lines []string
		for _, f := range m.files {
			text, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			for _, match := range licensecheck.Scan(text).Match {
				names = append(names, match.ID)
			}
			lines = append(lines, copyrights(string(text))...)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) == 0 {
			return "", fmt.Errorf("%s %s: no known licence in %s: look what it is under before it is linked", m.path, m.version, m.dir)
		}
		fmt.Fprintf(&b, "\n%s\n    %s\n", strings.TrimSpace(m.path+" "+m.version), strings.Join(names, ", "))
		// The same line stands in several files of many modules.
		for i, l := range lines {
			if !slices.Contains(lines[:i], l) {
				fmt.Fprintf(&b, "    %s\n", l)
			}
		}
	}
	return b.String(), nil
}

// A line that begins with the word and names a sign or a year: others only speak of it.
var copyrightLine = regexp.MustCompile(`(?i)^[\s/*#>]*(copyright\s+(\(c\)|©|.*\b(19|20)\d{2}\b).*)$`)

// copyrights are the lines of a text that say whose it is, not those of a
// licence's form that is still to be filled in.
// Brackets mark what is to be filled in, unless they stand around an address.
func copyrights(text string) []string {
	var lines []string
	for l := range strings.Lines(text) {
		m := copyrightLine.FindStringSubmatch(strings.TrimRight(l, " \r\n"))
		if m == nil || strings.ContainsAny(m[1], "[]{}<>") && !strings.Contains(m[1], "@") && !strings.Contains(m[1], "http") {
			continue
		}
		lines = append(lines, m[1])
	}
	return lines
}
