package mllmu

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// part is one file of a set that was written in several, by its name:
// PREFIX-KKKKK-of-NNNNN.parquet, and with -HASH behind the numbers as datasets
// before 2.15 wrote it. The hash is another for every part of one set, so it
// tells nothing about which parts belong together.
type part struct {
	name   string
	prefix string
	at, of int
}

// At least five digits, as datasets pads them; at most nine, which fit an int anywhere.
var partName = regexp.MustCompile(`^(.+)-(\d{5,9})-of-(\d{5,9})(-[0-9A-Za-z]+)?\.parquet$`)

// It reports whether a name is of that form.
func parsePart(name string) (part, bool) {
	m := partName.FindStringSubmatch(name)
	if m == nil {
		return part{}, false
	}
	at, err1 := strconv.Atoi(m[2])
	of, err2 := strconv.Atoi(m[3])
	return part{name, m[1], at, of}, err1 == nil && err2 == nil
}

// inOrder sorts the file names of one set, all of one folder, into the order of
// its rows. Where names are numbered they have to be one whole set: every part
// once, and nothing beside it.
func inOrder(names []string) ([]string, error) {
	names = slices.Sorted(slices.Values(names))
	var parts []part
	var other []string
	for _, n := range names {
		if p, ok := parsePart(n); ok {
			parts = append(parts, p)
		} else {
			other = append(other, n)
		}
	}
	switch {
	case len(parts) == 0:
		return names, nil
	case len(other) > 0:
		return nil, fmt.Errorf("%s does not belong to %s and the parts beside it; move one of them away", other[0], parts[0].name)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.at, b.at) })
	first := parts[0]
	for _, p := range parts[1:] {
		switch {
		case p.prefix != first.prefix:
			return nil, fmt.Errorf("%s and %s are of two tables; leave the one that is meant", first.name, p.name)
		case p.of != first.of:
			return nil, fmt.Errorf("%s and %s are of two versions, in %d parts and in %d; remove one version", first.name, p.name, first.of, p.of)
		}
	}
	// Parts are counted from 0; other writers count from 1, which shows by the
	// last number.
	base := 0
	if parts[len(parts)-1].at == first.of && first.at > 0 {
		base = 1
	}
	var missing []string
	// want is the part that should come next.
	want := base
	for i, p := range parts {
		switch {
		case p.at >= first.of+base:
			return nil, fmt.Errorf("%s is no part of a set of %d; fetch the set again", p.name, p.of)
		case i > 0 && p.at == parts[i-1].at:
			return nil, fmt.Errorf("%s and %s are the same part of two versions; remove one version", parts[i-1].name, p.name)
		}
		missing = appendGap(missing, want, p.at, first)
		want = p.at + 1
	}
	missing = appendGap(missing, want, first.of+base, first)
	if n := first.of - len(parts); n > 0 {
		return nil, fmt.Errorf("%s missing: the set has %d parts and %d of them %s here; fetch the rest",
			list(missing, n), first.of, len(parts), isAre(len(parts)))
	}
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = p.name
	}
	return out, nil
}

// maxNamed is how many missing parts an error names.
const maxNamed = 3

// from is included, to is not.
func appendGap(missing []string, from, to int, p part) []string {
	for i := from; i < to && len(missing) < maxNamed; i++ {
		missing = append(missing, fmt.Sprintf("%s-%05d-of-%05d.parquet", p.prefix, i, p.of))
	}
	return missing
}

// convertedName is how the hub's own conversion to parquet names its files.
var convertedName = regexp.MustCompile(`^\d{4}\.parquet$`)

// convertedWhole checks sorted names 0000.parquet, 0001.parquet … for a gap. How
// many there should be is not in them.
func convertedWhole(names []string) error {
	for i, n := range names {
		if want := fmt.Sprintf("%04d.parquet", i); convertedName.MatchString(n) && n != want {
			return fmt.Errorf("%s is missing before %s; fetch it", want, n)
		}
	}
	return nil
}

// list joins the names of n things, of which it knows the first.
func list(names []string, n int) string {
	s := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s + " " + isAre(n)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
