package mllmu

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/eval/dataset"
	"vgid/model/kit/filekind"
)

// The names of MLLMU-Bench's fixed sets. forget_N and retain_N carry their
// percentage in the name.
const (
	FullSet   = "Full_Set"
	TestSet   = "Test_Set"
	RetainSet = "Retain_Set" // the celebrities
	TrainSet  = "ft_Data"
)

// Files are the parquet files of a benchmark's folder, by set.
// It keeps names of files and nothing of their contents: each Read opens them anew.
type Files struct {
	dir  string
	sets sets
}

// Find lists the sets under dir in the arrangements in which they are published
// and exported: dir/<set>/*.parquet, dir/<set>/<split>/*.parquet with one split,
// dir/data/<set>-00000-of-00001[-HASH].parquet and dir/<set>.parquet, both with
// and without data/. No file is read yet; a set that lacks a part is an error
// when it is asked for. A folder without any is a *dataset.Unlike.
// A set is looked for by its name alone: which columns its files have is seen when they
// are read, since forget_5 may be of either layout.
func Find(dir string) (*Files, error) {
	f := &Files{dir: dir, sets: sets{}}
	if err := f.sets.container(dir, true); err != nil {
		return nil, &dataset.Unlike{Reason: fmt.Sprintf("%v; give the folder that holds Full_Set, ft_Data and the forget sets", filekind.Reason(err))}
	}
	if len(f.sets) == 0 {
		return nil, &dataset.Unlike{Reason: "no parquet files, neither <set>/*.parquet nor data/<set>-00000-of-00001.parquet; " + looksLike(dir)}
	}
	return f, nil
}

// Dir is the folder that was opened.
func (f *Files) Dir() string { return f.dir }

// Sets lists the sets found, sorted.
func (f *Files) Sets() []string { return slices.Sorted(maps.Keys(f.sets)) }

// Roles are the sets of MLLMU-Bench that hold what others lack. The name forget_5
// stands for two published files, one with training pairs and one with questions:
// whichever the folder holds, the other half comes from these.
func (f *Files) Roles() dataset.Roles {
	return dataset.Roles{
		Training:   dataset.Source{Set: TrainSet, Column: "metadata"},
		Evaluation: dataset.Source{Set: FullSet, Column: "Classification_Task"},
		Unseen:     TestSet,
		Outside:    RetainSet,
	}
}

// Read gives the people of one set, as dataset.Folder says.
//
// Both layouts are accepted under any name and told apart by their columns:
// metadata makes Profile.Train, the three task columns make Profile.Eval.
// Image bytes are kept as they are.
func (f *Files) Read(name string, keep func(id string) bool, note func(id, path string)) ([]dataset.Profile, error) {
	found, ok := f.sets[name]
	if !ok {
		hint := ""
		if _, ok := f.sets["train"]; ok {
			hint = "; it looks like the folder of one set: give the folder around it"
		}
		return nil, fmt.Errorf("data folder %s: no set %q; it holds %s%s", f.dir, name, strings.Join(f.Sets(), ", "), hint)
	}
	if found.err != nil {
		return nil, fmt.Errorf("set %s: %w", name, found.err)
	}
	// The files come in the order of their parts, which is that of the set's rows.
	c := collector{keep: keep, at: map[string]int{}, note: note}
	for _, path := range found.files {
		if err := c.read(path); err != nil {
			return nil, err
		}
	}
	if c.rows == 0 {
		return nil, fmt.Errorf("set %s: %s holds no rows; choose another split or build the data again", name, found.files[0])
	}
	return c.profiles, nil
}
