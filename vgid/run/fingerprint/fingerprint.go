package fingerprint

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"vgid/model/kit/bytesize"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/rundir"
)

// worthTelling is how much is read for fingerprints without a word: what takes
// some seconds.
const worthTelling = 4 << 30

// Files knows the fingerprints of the files that a rank has read. A digest is
// remembered by the file's identity, which is another when the file is written to,
// so what is remembered never needs to be thrown away.
type Files struct {
	ranks *barrier.Group
	say   func(format string, args ...any)
	known map[origin.ID]string // SHA-256 of what was read
}

// New knows nothing yet. say tells the user what takes long.
func New(ranks *barrier.Group, say func(format string, args ...any)) *Files {
	return &Files{ranks: ranks, say: say, known: map[origin.ID]string{}}
}

// seen is a file as a rank sees it, before it is read.
type seen struct {
	origin.File           // without its digest
	Path        string    // on that rank
	ID          origin.ID // who else sees a file with it need not read it
}

// Agree lists files on every rank, gives what is in them, and refuses ranks that do
// not have the same: they would train one model on different data, or different
// models. A source that list gives with an ID was read when it had that one, and is
// refused if it has another now. All ranks call it.
//
// Ranks compare twice: names and sizes before anything is read, which is cheap, and digests
// after that.
func (f *Files) Agree(ctx context.Context, list func() ([]origin.Source, error)) (origin.List, error) {
	var mine []seen
	all, err := barrier.Gather(ctx, f.ranks, func(context.Context) ([]seen, error) {
		sources, failed := list()
		var err error
		if mine, err = look(sources); err != nil {
			return nil, err // a file that cannot be found: the shorter of the two errors
		}
		return mine, failed
	})
	if err != nil {
		return nil, err
	}
	if err := f.alike(all); err != nil { // no need to read gigabytes for that
		return nil, err
	}
	digests, err := barrier.Gather(ctx, f.ranks, func(ctx context.Context) ([]string, error) {
		return f.digests(ctx, mine, first(all, f.ranks.Rank()))
	})
	if err != nil {
		return nil, err
	}
	if err := fill(all, digests); err != nil {
		return nil, err
	}
	own := all[f.ranks.Rank()]
	for _, s := range own {
		f.Learn(s.ID, s.SHA256)
	}
	return files(own), f.alike(all)
}

// look sees files as they are now.
func look(sources []origin.Source) ([]seen, error) {
	out := make([]seen, len(sources))
	for i, s := range sources {
		size, id, err := origin.Stat(s.Path)
		if err != nil {
			return nil, err
		}
		if s.ID != "" && id != s.ID {
			return nil, fmt.Errorf("%s was written to while it was read; start again when it is whole", s.Path)
		}
		out[i] = seen{origin.File{For: s.For, Name: s.Name, Size: size}, s.Path, id}
	}
	return out, nil
}

// first tells for each file of a rank whether it is that rank's to read: no lower
// one sees the same.
func first(all [][]seen, rank int) []bool {
	lower := map[origin.ID]bool{}
	for _, list := range all[:rank] {
		for _, s := range list {
			lower[s.ID] = true
		}
	}
	out := make([]bool, len(all[rank]))
	for i, s := range all[rank] {
		out[i] = s.ID == "" || !lower[s.ID]
	}
	return out
}

// fill gives every rank's files the digests that the ranks read, those of a file that
// several ranks see to all of them.
// A digest is "" from a rank that left the file to a lower one, which sees the same.
func fill(all [][]seen, digests [][]string) error {
	read := map[origin.ID]string{}
	for r := range all {
		if len(digests[r]) != len(all[r]) {
			return fmt.Errorf("rank %d gives %d fingerprints of %d files", r, len(digests[r]), len(all[r]))
		}
		for i, d := range digests[r] {
			if d != "" {
				read[all[r][i].ID] = d
			}
		}
	}
	for r := range all {
		for i := range all[r] {
			s := &all[r][i]
			if s.SHA256 = digests[r][i]; s.SHA256 == "" {
				s.SHA256 = read[s.ID]
			}
		}
	}
	return nil
}

// digests reads those of the files that are to be read and were not before.
func (f *Files) digests(ctx context.Context, list []seen, read []bool) ([]string, error) {
	out := make([]string, len(list))
	var todo []int
	var total int64
	for i, s := range list {
		if !read[i] {
			continue
		}
		if out[i] = f.known[s.ID]; out[i] == "" || s.ID == "" {
			todo, total = append(todo, i), total+s.Size
		}
	}
	if total > worthTelling {
		f.say("reading %v for fingerprints", bytesize.Binary(total))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0)) // SHA-256 is what takes the time
	for _, i := range todo {
		g.Go(func() (err error) {
			out[i], err = origin.Hash(ctx, list[i].Path)
			return err
		})
	}
	return out, g.Wait()
}

// One is the size and the SHA-256 of one file, on the rank that calls it.
func (f *Files) One(ctx context.Context, path string) (size int64, sum string, err error) {
	size, id, err := origin.Stat(path)
	if err != nil {
		return 0, "", err
	}
	list, err := f.digests(ctx, []seen{{origin.File{Size: size}, path, id}}, []bool{true})
	if err != nil {
		return 0, "", err
	}
	f.Learn(id, list[0])
	return size, list[0], nil
}

// Below lists what lies in a file or folder of a run's folder, but for the record
// that may lie in it, on the rank that calls it. Names are paths below the run's folder.
func (f *Files) Below(ctx context.Context, d *rundir.Dir, path string) (origin.List, error) {
	sources, err := origin.Below(d.Path(), path)
	if err != nil {
		return nil, err
	}
	var out origin.List
	for _, s := range sources {
		if s.Path == filepath.Join(path, rundir.RecordFile) {
			continue
		}
		file := origin.File{For: s.For, Name: s.Name}
		if file.Size, file.SHA256, err = f.One(ctx, s.Path); err != nil {
			return nil, err
		}
		out = append(out, file)
	}
	return out, nil
}

// Learn remembers the digest of a file that was computed elsewhere, as when it was
// written.
func (f *Files) Learn(id origin.ID, sum string) {
	if id != "" {
		f.known[id] = sum
	}
}

// alike refuses ranks that see other files than rank 0.
func (f *Files) alike(all [][]seen) error {
	for r, list := range all {
		changes := files(all[0]).Changes(files(list))
		if len(changes) == 0 {
			continue
		}
		c := changes[0]
		said := fmt.Sprintf("%s differs from rank 0's on %s", c.File, f.ranks.Name(r))
		where := list
		switch c.How {
		case origin.New:
			said = fmt.Sprintf("%s is there on %s and not on rank 0", c.File, f.ranks.Name(r))
		case origin.Gone:
			said = fmt.Sprintf("%s is missing on %s", c.File, f.ranks.Name(r))
			where = all[0]
		}
		for _, s := range where {
			if s.For == c.File.For && s.Name == c.File.Name {
				said = s.Path + ": " + said
			}
		}
		if n := len(changes) - 1; n > 0 {
			said += fmt.Sprintf(" (and %d more)", n)
		}
		return fmt.Errorf("workers do not read the same files: %s; copy rank 0's to every machine, or keep them on a disk that all share", said)
	}
	return nil
}

// files leaves out what only one rank knows: paths and identities.
func files(list []seen) origin.List {
	out := make(origin.List, len(list))
	for i, s := range list {
		out[i] = s.File
	}
	return out
}
