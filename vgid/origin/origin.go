// Package origin says what something was made of: fingerprints of the files that
// were read for it, as they lie on the disk.
//
// A file of another name, size or content is another file. Where its folder is and
// when it was written does not matter, so that copies on several machines are equal.
package origin

import (
	"fmt"
	"slices"
)

// File is the fingerprint of one file.
type File struct {
	For    string `json:"for,omitempty"` // what it is read for, in words: "weights", "set forget_10"
	Name   string `json:"name"`          // path below its folder, with slashes
	Size   int64  `json:"size"`          // bytes
	SHA256 string `json:"sha256"`        // of the whole content, in hexadecimal digits
}

func (f File) String() string { return f.Name + " (" + f.For + ")" }

// List are the files something was made of, in the order in which a change of
// them is told.
// Its order does not count where lists are compared (Changes).
type List []File

// Change is a file that is not as it was.
type Change struct {
	File File // as it is, or was if it is gone
	How  How
}

// How a file is not as it was.
type How string

// What may have become of a file.
const (
	Changed How = "has changed"
	New     How = "is new"
	Gone    How = "is gone"
)

// Changes compares what was read with what would be read now: first the files
// that are there, in their order, then those that are gone.
// A file is known by name and purpose; of two lists that are equal there are none.
func (was List) Changes(now List) []Change {
	type key struct{ purpose, name string }
	old := map[key]File{}
	for _, f := range was {
		old[key{f.For, f.Name}] = f
	}
	var out []Change
	for _, f := range now {
		k := key{f.For, f.Name}
		before, known := old[k]
		delete(old, k)
		switch {
		case !known:
			out = append(out, Change{f, New})
		case before != f:
			out = append(out, Change{f, Changed})
		}
	}
	for _, f := range was {
		if _, left := old[key{f.For, f.Name}]; left {
			out = append(out, Change{f, Gone})
		}
	}
	return out
}

// Words tells the first change, and how many more there are: "model.safetensors
// (weights) has changed, and 2 more files are not as they were". There is at least one.
func Words(c []Change) string {
	first := c[0].File.String() + " " + string(c[0].How)
	switch n := len(c) - 1; n {
	case 0:
		return first
	case 1:
		return first + ", and 1 more file is not as it was"
	default:
		return fmt.Sprintf("%s, and %d more files are not as they were", first, n)
	}
}

// Union is the files of several lists, in their order, each once.
// A file that is read for two purposes stays twice.
func Union(lists ...List) List {
	out := List{}
	seen := map[File]bool{}
	for _, f := range slices.Concat(lists...) {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}
