package mllmu

import (
	"vgid/eval/dataset"
	"vgid/model/hf/filekind"

	"fmt"
	"slices"
	"sort"
	"strings"
)

// The names of MLLMU-Bench's fixed sets. forget_N and retain_N carry their
// percentage in the name.
const (
	FullSet   = "Full_Set"
	TestSet   = "Test_Set"
	RetainSet = "Retain_Set" // the celebrities
	TrainSet  = "ft_Data"
)

// Benchmark is an opened folder of parquet files.
type Benchmark struct {
	dir  string
	sets sets
	note func(set, path string)
}

// Noting is the same benchmark, which tells note the path of every file it is about
// to read and the set that needs it.
func (b *Benchmark) Noting(note func(set, path string)) *Benchmark {
	return &Benchmark{dir: b.dir, sets: b.sets, note: note}
}

// Open lists the sets under dir in the arrangements in which they are published
// and exported: dir/<set>/*.parquet, dir/<set>/<split>/*.parquet with one split,
// dir/data/<set>-00000-of-00001[-HASH].parquet and dir/<set>.parquet, both with
// and without data/. No file is read yet; a set that lacks a part is an error
// when it is asked for.
func Open(dir string) (*Benchmark, error) {
	b := &Benchmark{dir: dir, sets: sets{}}
	if err := b.sets.container(dir, true); err != nil {
		return nil, fmt.Errorf("data folder %s: %w; give the folder that holds Full_Set, ft_Data and the forget sets", dir, filekind.Reason(err))
	}
	if len(b.sets) == 0 {
		return nil, fmt.Errorf("data folder %s: no parquet files, neither <set>/*.parquet nor data/<set>-00000-of-00001.parquet; %s", dir, looksLike(dir))
	}
	return b, nil
}

// Dir is the folder given to Open.
func (b *Benchmark) Dir() string { return b.dir }

// Splits lists the sets found, sorted.
func (b *Benchmark) Splits() []string {
	names := make([]string, 0, len(b.sets))
	for n := range b.sets {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Has reports whether a set of that name was found.
func (b *Benchmark) Has(name string) bool { _, ok := b.sets[name]; return ok }

// Set reads every profile of one set, in file order.
//
// Both layouts are accepted under any name and told apart by their columns:
// metadata makes Profile.Train, the three task columns make Profile.Eval.
// Image bytes are kept as they are.
func (b *Benchmark) Set(name string) ([]dataset.Profile, error) { return b.Select(name, nil) }

// Select is Set for the profiles whose ID keep accepts (all when keep is nil):
// what it refuses is not held in memory. A set that holds no row at all is an
// error; one of which keep refuses every row gives no profiles.
func (b *Benchmark) Select(name string, keep func(id string) bool) ([]dataset.Profile, error) {
	found, ok := b.sets[name]
	if !ok {
		hint := ""
		if slices.Contains(b.Splits(), "train") {
			hint = "; it looks like the folder of one set: give the folder around it"
		}
		return nil, fmt.Errorf("data folder %s: no set %q; it holds %s%s", b.dir, name, strings.Join(b.Splits(), ", "), hint)
	}
	if found.err != nil {
		return nil, fmt.Errorf("set %s: %w", name, found.err)
	}
	files := found.files
	c := collector{keep: keep, at: map[string]int{}}
	if b.note != nil {
		c.note = func(path string) { b.note(name, path) }
	}
	for _, f := range files {
		if err := c.read(f); err != nil {
			return nil, err
		}
	}
	if c.rows == 0 {
		return nil, fmt.Errorf("set %s: %s holds no rows; choose another split or build the data again", name, files[0])
	}
	return c.profiles, nil
}

// IDs lists the distinct IDs of a set in file order.
func (b *Benchmark) IDs(name string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	_, err := b.Select(name, func(id string) bool {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		return false
	})
	return ids, err
}

// Training gives the profiles of a set with training pairs. The name forget_5
// stands for two published files: where the folder holds the evaluation one,
// the pairs of its IDs come from ft_Data.
func (b *Benchmark) Training(name string) ([]dataset.Profile, error) {
	return b.complete(name, TrainSet, "metadata", func(p dataset.Profile) bool { return p.Train != nil })
}

// Evaluation gives the profiles of a set with evaluation questions, from
// Full_Set where the folder holds the training file of that name.
func (b *Benchmark) Evaluation(name string) ([]dataset.Profile, error) {
	return b.complete(name, FullSet, "Classification_Task", func(p dataset.Profile) bool { return p.Eval != nil })
}

// Unseen gives the Test_Set profiles, that is other views of the same
// persons, of the IDs of a set, in the order of that set.
func (b *Benchmark) Unseen(name string) ([]dataset.Profile, error) {
	ids, err := b.IDs(name)
	if err != nil {
		return nil, err
	}
	return b.pickFrom(name, TestSet, ids)
}

func (b *Benchmark) complete(name, source, column string, has func(dataset.Profile) bool) ([]dataset.Profile, error) {
	got, err := b.Set(name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(got, func(p dataset.Profile) bool { return !has(p) }) {
		return got, nil
	}
	if name == source || !b.Has(source) {
		return nil, fmt.Errorf("set %s (%s): no column %s, and no %s to take it from; add the file that has it", name, b.sets[name].files[0], column, source)
	}
	ids := make([]string, len(got))
	for i, p := range got {
		ids[i] = p.ID
	}
	return b.pickFrom(name, source, ids)
}

func (b *Benchmark) pickFrom(name, source string, ids []string) ([]dataset.Profile, error) {
	want := make(map[string]int, len(ids))
	for i, id := range ids {
		want[id] = i
	}
	found, err := b.Select(source, func(id string) bool { _, ok := want[id]; return ok })
	if err != nil {
		return nil, err
	}
	out := make([]dataset.Profile, len(ids))
	for _, p := range found {
		out[want[p.ID]] = p
		delete(want, p.ID)
	}
	for id := range want {
		return nil, fmt.Errorf("set %s: ID %q is not in %s; the files belong to different versions", name, id, source)
	}
	return out, nil
}
