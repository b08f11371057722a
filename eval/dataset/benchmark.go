package dataset

import (
	"fmt"
	"slices"
)

// Folder is a benchmark's folder as a format reads it. A format lists what is
// there when it opens a folder and reads a set when it is asked for it: a
// benchmark is larger than memory may be.
type Folder interface {
	// Dir is the folder's path, for error lines.
	Dir() string
	// Sets lists the names of all sets, sorted.
	Sets() []string
	// Roles says which sets stand in for others.
	Roles() Roles
	// Read gives the people of a set whose ID keep accepts, each ID once, in the
	// order of the files; keep is asked about every ID, in the same order. A set
	// without a single row is an error. Before a file is read, note is told its
	// path, with the ID of the person that needs it, or "" where it is the set's.
	Read(set string, keep func(id string) bool, note func(id, path string)) ([]Profile, error)
}

// Roles are the sets of a benchmark that hold what others lack. A name is empty
// where a benchmark has no such set.
type Roles struct {
	Training   Source // of everybody's training pairs
	Evaluation Source // of everybody's evaluation questions
	Unseen     string // everybody again, in views that no training shows
	Outside    string // people that no training shows
}

// Source is a set, and what error lines call the part of a row that it is asked
// for.
type Source struct{ Set, Column string }

// Benchmark is an opened benchmark. It reads a set when it is first asked for
// people of it and keeps those, pictures as they are encoded, so that the stages
// of a run read every file once.
//
// What must hold: an answer depends on the files and on the question alone, never
// on what was kept. So a file that was written to since it was read is read
// again, a row that nobody asks for is never decoded, and the files that a
// question needs are told (Noting) whether or not they are read for it.
//
// The people that it gives are shared: they are read, never changed.
type Benchmark struct {
	folder Folder
	kept   *store
	note   func(set, path string)
}

// New is the benchmark of a folder that a format has opened.
func New(f Folder) *Benchmark { return &Benchmark{folder: f, kept: newStore()} }

// Noting is the same benchmark, which tells note the path of every file that an
// answer depends on and the set that needs it, some more than once.
func (b *Benchmark) Noting(note func(set, path string)) *Benchmark {
	return &Benchmark{folder: b.folder, kept: b.kept, note: note}
}

// Dir is the folder that was opened.
func (b *Benchmark) Dir() string { return b.folder.Dir() }

// Sets lists the sets found, sorted.
func (b *Benchmark) Sets() []string { return b.folder.Sets() }

// Has reports whether a set of that name was found.
func (b *Benchmark) Has(set string) bool { return slices.Contains(b.folder.Sets(), set) }

// Set gives every profile of one set, in file order.
func (b *Benchmark) Set(name string) ([]Profile, error) {
	return b.read(name, func(string) bool { return true }, nil)
}

// IDs lists the distinct IDs of a set in file order.
func (b *Benchmark) IDs(name string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	_, err := b.read(name, func(id string) bool {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		return false // whoever they are
	}, nil)
	return ids, err
}

// Training gives the profiles of a set with training pairs. A set of questions
// alone stands for its people: their pairs come from the source of all. The sets
// that will be asked for next are read from there with it.
func (b *Benchmark) Training(set string, next ...string) ([]Profile, error) {
	return b.complete(set, b.folder.Roles().Training, func(p Profile) bool { return p.Train != nil }, next)
}

// Evaluation gives the profiles of a set with evaluation questions, from the
// source of all for a set that holds none, as Training does.
func (b *Benchmark) Evaluation(set string, next ...string) ([]Profile, error) {
	return b.complete(set, b.folder.Roles().Evaluation, func(p Profile) bool { return p.Eval != nil }, next)
}

// Unseen gives other views of the people of a set, which no training shows, with
// their questions, in the order of that set.
func (b *Benchmark) Unseen(set string) ([]Profile, error) {
	from := b.folder.Roles().Unseen
	if from == "" {
		return nil, fmt.Errorf("data folder %s: this kind of benchmark has no views that are kept from training", b.Dir())
	}
	ids, err := b.IDs(set)
	if err != nil {
		return nil, err
	}
	return b.pickFrom(set, from, ids, nil)
}

// Outside gives people that no training shows, with their questions.
func (b *Benchmark) Outside() ([]Profile, error) {
	set := b.folder.Roles().Outside
	if set == "" {
		return nil, fmt.Errorf("data folder %s: this kind of benchmark has no people that are kept from training", b.Dir())
	}
	return b.Evaluation(set)
}

// complete gives the people of a set from the set itself, or from source where
// some of them lack what has asks for.
func (b *Benchmark) complete(name string, source Source, has func(Profile) bool, next []string) ([]Profile, error) {
	got, err := b.Set(name)
	if err != nil {
		return nil, err
	}
	if !lacking(got, has) {
		return got, nil
	}
	if name == source.Set || !b.Has(source.Set) {
		return nil, fmt.Errorf("set %s (%s): no column %s, and no %s to take it from; add the file that has it", name, b.kept.file(name), source.Column, source.Set)
	}
	quiet := b.Noting(nil) // who asks for the next sets will be told their files
	var also []string
	for _, n := range next {
		if people, err := quiet.Set(n); err == nil && lacking(people, has) { // an error is for who asks for it
			also = append(also, idsOf(people)...)
		}
	}
	return b.pickFrom(name, source.Set, idsOf(got), also)
}

func lacking(people []Profile, has func(Profile) bool) bool {
	return slices.ContainsFunc(people, func(p Profile) bool { return !has(p) })
}

func idsOf(people []Profile) []string {
	ids := make([]string, len(people))
	for i := range people {
		ids[i] = people[i].ID
	}
	return ids
}

// pickFrom gives the people of a set, in its order, as source has them.
func (b *Benchmark) pickFrom(name, source string, ids, also []string) ([]Profile, error) {
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		at[id] = i
	}
	found, err := b.read(source, func(id string) bool { _, ok := at[id]; return ok }, also)
	if err != nil {
		return nil, err
	}
	out := make([]Profile, len(ids))
	for _, p := range found {
		out[at[p.ID]] = p
		delete(at, p.ID)
	}
	for _, id := range ids {
		if _, missing := at[id]; missing {
			return nil, fmt.Errorf("set %s: ID %q is not in %s; the files belong to different versions", name, id, source)
		}
	}
	return out, nil
}

// read gives the people of a set that want accepts. Where it has to read, it
// keeps those with the IDs of also as well.
func (b *Benchmark) read(set string, want func(id string) bool, also []string) ([]Profile, error) {
	note := func(id, path string) {
		if b.note != nil && (id == "" || want(id)) {
			b.note(set, path)
		}
	}
	return b.kept.people(b.folder, set, want, also, note)
}

// Unlike is why a folder is not of a format: what is missing, what it looks like
// instead, and what to do.
type Unlike struct{ Reason string }

func (u *Unlike) Error() string { return u.Reason }
