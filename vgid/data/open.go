package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	sets map[string][]string // set name → files in order
}

var shardName = regexp.MustCompile(`^(.+)-\d{5}-of-\d{5}\.parquet$`)

// Open lists the sets under dir in either published arrangement:
// dir/<set>/*.parquet, or dir/data/<set>-00000-of-00001.parquet (the latter
// also without data/). No file is read yet.
func Open(dir string) (*Benchmark, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w; give the folder that holds Full_Set, ft_Data and the forget sets", dir, unwrapPath(err))
	}
	b := &Benchmark{dir: dir, sets: map[string][]string{}}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // follows links, as dataset caches are made of them
		if err != nil {
			return nil, fmt.Errorf("data folder %s: %w", dir, err)
		}
		switch {
		case !info.IsDir():
			b.addShard(e.Name(), path)
		default:
			files, err := filepath.Glob(filepath.Join(path, "*.parquet"))
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				if e.Name() == "data" {
					b.addShard(filepath.Base(f), f)
				} else {
					b.sets[e.Name()] = append(b.sets[e.Name()], f)
				}
			}
		}
	}
	if len(b.sets) == 0 {
		return nil, fmt.Errorf("data folder %s: no parquet files, neither <set>/*.parquet nor data/<set>-00000-of-00001.parquet; run vgid data build, or give another folder", dir)
	}
	for _, files := range b.sets {
		sort.Strings(files)
	}
	return b, nil
}

func (b *Benchmark) addShard(name, path string) {
	if m := shardName.FindStringSubmatch(name); m != nil {
		b.sets[m[1]] = append(b.sets[m[1]], path)
	}
}

func unwrapPath(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
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
func (b *Benchmark) Has(name string) bool { return len(b.sets[name]) > 0 }

// Set reads every profile of one set, in file order.
//
// Both layouts are accepted under any name and told apart by their columns:
// metadata makes Profile.Train, the three task columns make Profile.Eval.
// Image bytes are kept as they are.
func (b *Benchmark) Set(name string) ([]Profile, error) { return b.Select(name, nil) }

// Select is Set for the profiles whose ID keep accepts (all when keep is nil):
// what it refuses is not held in memory. A set that holds no row at all is an
// error; one of which keep refuses every row gives no profiles.
func (b *Benchmark) Select(name string, keep func(id string) bool) ([]Profile, error) {
	files := b.sets[name]
	if len(files) == 0 {
		return nil, fmt.Errorf("data folder %s: no set %q; it holds %s", b.dir, name, strings.Join(b.Splits(), ", "))
	}
	c := collector{keep: keep, at: map[string]int{}}
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
func (b *Benchmark) Training(name string) ([]Profile, error) {
	return b.complete(name, TrainSet, "metadata", func(p Profile) bool { return p.Train != nil })
}

// Evaluation gives the profiles of a set with evaluation questions, from
// Full_Set where the folder holds the training file of that name.
func (b *Benchmark) Evaluation(name string) ([]Profile, error) {
	return b.complete(name, FullSet, "Classification_Task", func(p Profile) bool { return p.Eval != nil })
}

// Unseen gives the Test_Set profiles, that is other views of the same
// persons, of the IDs of a set, in the order of that set.
func (b *Benchmark) Unseen(name string) ([]Profile, error) {
	ids, err := b.IDs(name)
	if err != nil {
		return nil, err
	}
	return b.pickFrom(name, TestSet, ids)
}

func (b *Benchmark) complete(name, source, column string, has func(Profile) bool) ([]Profile, error) {
	got, err := b.Set(name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(got, func(p Profile) bool { return !has(p) }) {
		return got, nil
	}
	if name == source || !b.Has(source) {
		return nil, fmt.Errorf("set %s (%s): no column %s, and no %s to take it from; add the file that has it", name, b.sets[name][0], column, source)
	}
	ids := make([]string, len(got))
	for i, p := range got {
		ids[i] = p.ID
	}
	return b.pickFrom(name, source, ids)
}

func (b *Benchmark) pickFrom(name, source string, ids []string) ([]Profile, error) {
	want := make(map[string]int, len(ids))
	for i, id := range ids {
		want[id] = i
	}
	found, err := b.Select(source, func(id string) bool { _, ok := want[id]; return ok })
	if err != nil {
		return nil, err
	}
	out := make([]Profile, len(ids))
	for _, p := range found {
		out[want[p.ID]] = p
		delete(want, p.ID)
	}
	for id := range want {
		return nil, fmt.Errorf("set %s: ID %q is not in %s; the files belong to different versions", name, id, source)
	}
	return out, nil
}
