package mllmu

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// set is the files of one set in the order of its rows, or why they are none. The
// reason is kept and not returned: a set that is broken or half fetched is of no
// interest to a run that needs others.
// Either files or err is there: a set with files is whole by all that their names say.
type set struct {
	files []string
	err   error
}

// listing is what one folder holds. Names that begin with a dot or an underscore
// are other programs' (._x of macOS, .cache of hub clients, _SUCCESS of Spark)
// and are passed over.
type listing struct {
	parquet    []string
	unfinished []string // downloads that have not ended, or have not begun to be files
	arrow      []string
	folders    []string
	others     []string
}

// unfinishedMarks are what programs put behind the name of a file while they
// fetch it.
var unfinishedMarks = []string{".incomplete", ".part", ".partial", ".crdownload", ".download", ".tmp", ".aria2"}

// look sorts what a folder holds by what it may be, by names alone: a benchmark
// may lie on a disk where opening every file takes minutes.
func look(dir string) (listing, error) {
	entries, err := os.ReadDir(dir)
	var l listing
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' || name[0] == '_' {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, name)) // follows links, as dataset caches are made of them
		switch {
		// Folders first: Spark writes a table as a folder whose name ends in .parquet.
		case err == nil && info.IsDir():
			l.folders = append(l.folders, name)
		case strings.HasSuffix(name, ".parquet"): // a link that leads nowhere is told when it is read
			l.parquet = append(l.parquet, name)
		case strings.HasSuffix(name, ".arrow"):
			l.arrow = append(l.arrow, name)
		case slices.ContainsFunc(unfinishedMarks, func(m string) bool { return strings.HasSuffix(name, ".parquet"+m) }):
			l.unfinished = append(l.unfinished, name)
		default:
			l.others = append(l.others, name)
		}
	}
	return l, err
}

// sets finds what is under a folder, by name.
// A set that is found twice, in whatever arrangement, is an error of that set (add): which is
// meant cannot be told.
type sets map[string]set

// container takes a folder of which every file is a set's and every folder a set,
// as what is published has it. At the top, data/ and default/ are such folders
// too: the hub's writers put all sets there.
//
// What of it is no set of this benchmark does no harm: sets are read by name, and only those
// asked for.
func (s sets) container(dir string, top bool) error {
	l, err := look(dir)
	if err != nil {
		return err
	}
	// Files are grouped before a set is made of them: whether parts are missing shows only
	// when all of a set are together.
	of := map[string]listing{}
	for _, n := range l.parquet {
		name := setOf(n)
		g := of[name]
		g.parquet = append(g.parquet, n)
		of[name] = g
	}
	for _, n := range l.unfinished {
		name := setOf(n[:strings.LastIndexByte(n, '.')])
		g := of[name]
		g.unfinished = append(g.unfinished, n)
		of[name] = g
	}
	for name, g := range of {
		s.add(name, dir, g)
	}
	for _, n := range l.folders {
		path := filepath.Join(dir, n)
		// Not below the top: data/data would be a set of that name.
		if top && (n == "data" || n == "default") {
			if err := s.container(path, false); err != nil {
				return err
			}
		} else {
			s.folder(strings.TrimSuffix(n, ".parquet"), path) // Spark names folders so
		}
	}
	return nil
}

// setOf is the set that a file in a folder of several belongs to.
func setOf(name string) string {
	if p, ok := parsePart(name); ok {
		return p.prefix
	}
	return strings.TrimSuffix(name, ".parquet")
}

// folder takes a folder that is one set: its files, or those of its only split.
func (s sets) folder(name, dir string) {
	l, err := look(dir)
	if err != nil {
		s[name] = set{err: err} // of a folder that may be nobody's business
		return
	}
	if len(l.parquet)+len(l.unfinished) > 0 {
		s.add(name, dir, l)
		return
	}
	splits := map[string]listing{}
	for _, n := range l.folders {
		if in, err := look(filepath.Join(dir, n)); err == nil && len(in.parquet)+len(in.unfinished) > 0 {
			splits[n] = in
		}
	}
	// A set of MLLMU-Bench has one split, whose name differs by writer. Of two it
	// cannot be told which is meant, and both together would be other data.
	names := slices.Sorted(maps.Keys(splits))
	switch {
	case len(names) == 0 && len(l.arrow) > 0:
		s[name] = set{err: fmt.Errorf("%s: %s", dir, arrowHint)}
	case len(names) == 0: // no set
	case len(names) > 1:
		s[name] = set{err: fmt.Errorf("%s holds several splits, %s; leave the one that is meant", dir, strings.Join(names, ", "))}
	case strings.HasPrefix(names[0], "partial-"):
		s[name] = set{err: fmt.Errorf("%s: the hub converted only a part of this set to parquet; fetch the files of its main branch", filepath.Join(dir, names[0]))}
	default:
		s.add(name, filepath.Join(dir, names[0]), splits[names[0]])
		// The hub's conversion writes SET/SPLIT/0000.parquet, so only such folders are checked.
		if got := s[name]; got.err == nil {
			if err := convertedWhole(splits[names[0]].parquet); err != nil {
				s[name] = set{err: fmt.Errorf("%s: %w", filepath.Join(dir, names[0]), err)}
			}
		}
	}
}

// add puts a set together from the files of one folder.
func (s sets) add(name, dir string, l listing) {
	if old, ok := s[name]; ok {
		where := "elsewhere"
		if len(old.files) > 0 {
			where = "in " + filepath.Dir(old.files[0])
		}
		s[name] = set{err: fmt.Errorf("it is there twice, in %s and %s; remove one", dir, where)}
		return
	}
	names, err := inOrder(l.parquet)
	if len(l.parquet) == 0 {
		err = fmt.Errorf("no whole file; fetch it again")
	}
	for _, n := range l.unfinished {
		file, whole := n[:strings.LastIndexByte(n, '.')], err == nil
		// aria2 takes the whole room at the start and notes beside it how far it is.
		if !whole || strings.HasSuffix(n, ".aria2") && slices.Contains(l.parquet, file) {
			err = fmt.Errorf("%s is an unfinished download; fetch %s again", n, file)
			break
		}
	}
	if err != nil {
		s[name] = set{err: fmt.Errorf("%s: %w", dir, err)}
		return
	}
	files := make([]string, len(names))
	for i, n := range names {
		files[i] = filepath.Join(dir, n)
	}
	s[name] = set{files: files}
}
