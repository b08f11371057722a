// Package formats knows the arrangements of files that a benchmark may come in,
// and opens a folder by what lies in it.
//
// A format is one file here, as mllmu.go: an init that registers how to look at a
// folder. The readers themselves may live in packages of their own, beside
// mllmu. Whoever wants a benchmark calls Open and gets the same
// dataset.Benchmark, whatever it was read from.
package formats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vgid/eval/dataset"
)

// Format is one arrangement of files.
type Format struct {
	Name string // as messages say it
	// Find looks at what lies in a folder and reads nothing yet. An
	// *dataset.Unlike says that the folder is not of this format, and what it looks
	// like instead; any other error, that it is and cannot be used.
	Find func(dir string) (dataset.Folder, error)
}

// registered holds the formats by name. It changes while packages are initialised
// and never after, so nothing guards it.
var registered []Format

// Register makes a format known to Open. It is called by the init function of the
// format's file; two of one name are a programmer's error, and panic.
func Register(f Format) {
	if f.Name == "" || f.Find == nil || slices.ContainsFunc(registered, func(g Format) bool { return g.Name == f.Name }) {
		panic(fmt.Sprintf("formats: %q is registered twice, or without Find", f.Name))
	}
	registered = append(registered, f)
	slices.SortFunc(registered, func(a, b Format) int { return cmp.Compare(a.Name, b.Name) })
}

// Open opens a benchmark's folder in the format that it is of. A folder that no
// format knows, or that more than one does, is an error that says what lies there.
func Open(dir string) (*dataset.Benchmark, error) {
	var found dataset.Folder
	var name string
	var reasons []string
	for _, f := range registered {
		folder, err := f.Find(dir)
		var unlike *dataset.Unlike
		switch {
		case errors.As(err, &unlike):
			reasons = append(reasons, unlike.Reason)
		case err != nil:
			return nil, fmt.Errorf("data folder %s: %w", dir, err)
		case found != nil:
			return nil, fmt.Errorf("data folder %s: it can be read as %s and as %s; leave the files of one of them", dir, name, f.Name)
		default:
			found, name = folder, f.Name
		}
	}
	if found == nil {
		return nil, fmt.Errorf("data folder %s: %s", dir, strings.Join(reasons, "; or "))
	}
	return dataset.New(found), nil
}
