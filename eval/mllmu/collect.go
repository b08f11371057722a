package mllmu

import (
	"fmt"
	"slices"
	"strings"

	"vgid/eval/dataset"
)

// collector turns the rows of one set's files into profiles.
// It lives for one Read. keep is asked before a picture is decoded, so that only the pictures of
// people who are asked for are read; note hears of every file, which is how fingerprints of what
// was read are made.
type collector struct {
	keep     func(id string) bool // asked about every row
	profiles []dataset.Profile
	at       map[string]int // ID → index in profiles
	// Counted whether kept or not: a set without rows is an error (Files.Read), one
	// in which nobody is wanted is not.
	rows int
	note func(id, path string) // told of every file before it is read
	last metadataCell
}

// layout says which of the two layouts a file's columns are of. A file may be of
// both: sets that were put together have all columns.
// At least one of the two is true of a file that layoutOf has accepted.
type layout struct{ training, evaluation bool }

// layoutOf reads the layout off the names of a file's columns, and refuses a file
// that lacks one. The name of the set says nothing: forget_5 is published as a
// file of each layout.
func layoutOf(path string, columns []string) (layout, error) {
	has := func(n string) bool { return slices.Contains(columns, n) }
	lack := func(n string) (layout, error) {
		return layout{}, fmt.Errorf("%s: column %s is missing; it holds %s", path, n, strings.Join(columns, ", "))
	}
	l := layout{training: has("metadata"), evaluation: slices.ContainsFunc(taskColumns, has)}
	switch {
	case !has("ID"):
		return lack("ID")
	case !has("image") && !has("images"):
		return lack("image")
	case !l.training && !l.evaluation:
		return lack("metadata (training) or Classification_Task (evaluation)")
	}
	if l.evaluation {
		// One that is absent is more likely misspelled than left out on purpose, and
		// its questions would silently not be asked.
		for _, t := range taskColumns {
			if !has(t) {
				return lack(t)
			}
		}
	}
	return l, nil
}

// read goes through one file, whose columns are looked at before its first row.
func (c *collector) read(path string) error {
	var l layout
	check := func(columns []string) (err error) {
		l, err = layoutOf(path, columns)
		return err
	}
	c.note("", path)
	return readRows(path, check, func(n int, rec map[string]any) error {
		c.rows++
		return c.row(path, n, l, rec)
	})
}

// row adds row n of a file.
// A person who is not kept is not looked at further: a fault in a row that nobody needs stops no
// run.
func (c *collector) row(path string, n int, l layout, rec map[string]any) error {
	where := fmt.Sprintf("%s, row %d", path, n)
	id, ok := rec["ID"].(string)
	if !ok || id == "" {
		return fmt.Errorf("%s: column ID is %s, want a non-empty string", where, describeValue(rec["ID"]))
	}
	if !c.keep(id) {
		return nil
	}
	where += ", ID " + id
	dropNull(rec) // a column that is null here is none: sets that were put together have all columns of both
	// What this row has, not its file: a file of both layouts may hold rows of either.
	of := layout{
		training:   l.training && (!l.evaluation || rec["metadata"] != nil),
		evaluation: l.evaluation && (!l.training || asksAnything(rec)),
	}
	p, err := decodeProfile(rec, where, of, pictures{path, func(picture string) { c.note(id, picture) }}, &c.last)
	if err != nil {
		return err
	}
	p.ID = id
	return c.add(p, where)
}

// add takes a profile, or merges it with the one of the same ID: rows of the
// training layout that share an ID are views of one person, whose pairs repeat.
func (c *collector) add(p dataset.Profile, where string) error {
	i, seen := c.at[p.ID]
	if !seen {
		c.at[p.ID] = len(c.profiles)
		c.profiles = append(c.profiles, p)
		return nil
	}
	old := &c.profiles[i]
	if p.Eval != nil || old.Eval != nil {
		return fmt.Errorf("%s: the ID was used by an earlier row; an evaluation set has one row a person", where)
	}
	// The pairs are compared whole: what the same question answers otherwise in another
	// row is a pair of its own.
	old.Images = append(old.Images, p.Images...)
	for _, q := range p.Train {
		if !slices.Contains(old.Train, q) {
			old.Train = append(old.Train, q)
		}
	}
	return nil
}

// dropNull takes out of a row the columns that say nothing in it.
func dropNull(rec map[string]any) {
	for name, v := range rec {
		if saysNothing(v) {
			delete(rec, name)
		}
	}
}

// saysNothing reports whether a value is null, or a struct or a list of nothing else.
// Some writers store a struct that is missing as one of null fields, so that nulls are
// looked for at every depth.
func saysNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, f := range v {
			if !saysNothing(f) {
				return false
			}
		}
		return true
	case []any: // an empty list says that there is none of its kind
		return len(v) > 0 && !slices.ContainsFunc(v, func(e any) bool { return !saysNothing(e) })
	}
	return false
}

// asksAnything reports whether a row has questions, after dropNull has taken out empty columns.
func asksAnything(rec map[string]any) bool {
	return slices.ContainsFunc(taskColumns, func(t string) bool { return rec[t] != nil })
}
