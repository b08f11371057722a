package run

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"vgid/model/backend"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
)

// worthTelling is how much is read for fingerprints without a word: what takes
// some seconds.
const worthTelling = 4 << 30

// lookedAt is a file as a rank sees it, before it is read.
type lookedAt struct {
	origin.File           // without its digest
	Path        string    // on that rank
	ID          origin.ID // what else sees the same file need not read it
}

// fingerprints lists files on every rank, gives what is in them, and refuses ranks
// that do not have the same: they would train one model on different data, or
// different models. Of ranks that see the same file, one reads it. All ranks call it.
func (j *Job) fingerprints(ctx context.Context, list func() ([]origin.Source, error)) (origin.List, error) {
	var mine []lookedAt
	all, err := barrier.Gather(ctx, j.ranks, func(context.Context) ([]lookedAt, error) {
		sources, err := list()
		for _, s := range sources {
			size, id, err := origin.Stat(s.Path)
			if err != nil {
				return nil, err
			}
			if s.ID != "" && id != s.ID {
				return nil, fmt.Errorf("%s was written to while it was read; start again when it is whole", s.Path)
			}
			mine = append(mine, lookedAt{origin.File{For: s.For, Name: s.Name, Size: size}, s.Path, id})
		}
		return mine, err
	})
	if err != nil {
		return nil, err
	}
	if err := j.alike(all); err != nil { // no need to read gigabytes for that
		return nil, err
	}
	digests, err := barrier.Gather(ctx, j.ranks, func(ctx context.Context) ([]string, error) {
		return j.digests(ctx, mine, first(all, j.Comm.Rank()))
	})
	if err != nil {
		return nil, err
	}
	known := map[origin.ID]string{}
	for r := range all {
		if len(digests[r]) != len(all[r]) {
			return nil, fmt.Errorf("rank %d gives %d fingerprints of %d files", r, len(digests[r]), len(all[r]))
		}
		for i, d := range digests[r] {
			if d != "" {
				known[all[r][i].ID] = d
			}
		}
	}
	for r := range all {
		for i := range all[r] {
			f := &all[r][i]
			if f.SHA256 = digests[r][i]; f.SHA256 == "" {
				f.SHA256 = known[f.ID]
			}
		}
	}
	for _, f := range all[j.Comm.Rank()] {
		j.remember(f.ID, f.SHA256)
	}
	return files(all[j.Comm.Rank()]), j.alike(all)
}

// first tells for each file of a rank whether it is that rank's to read: no lower
// one sees the same.
func first(all [][]lookedAt, rank int) []bool {
	seen := map[origin.ID]bool{}
	for _, list := range all[:rank] {
		for _, f := range list {
			seen[f.ID] = true
		}
	}
	out := make([]bool, len(all[rank]))
	for i, f := range all[rank] {
		out[i] = f.ID == "" || !seen[f.ID]
	}
	return out
}

// digests reads those of the files that are to be read and were not before.
func (j *Job) digests(ctx context.Context, list []lookedAt, read []bool) ([]string, error) {
	out := make([]string, len(list))
	var todo []int
	var total int64
	for i, f := range list {
		if !read[i] {
			continue
		}
		if out[i] = j.hashed[f.ID]; out[i] == "" || f.ID == "" {
			todo, total = append(todo, i), total+f.Size
		}
	}
	if total > worthTelling {
		j.Show.Printf("reading %v for fingerprints", backend.Bytes(total))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range todo {
		g.Go(func() (err error) {
			out[i], err = origin.Hash(ctx, list[i].Path)
			return err
		})
	}
	return out, g.Wait()
}

// digest is the SHA-256 of one file, which is read once.
func (j *Job) digest(ctx context.Context, path string) (size int64, sum string, err error) {
	size, id, err := origin.Stat(path)
	if err != nil {
		return 0, "", err
	}
	list, err := j.digests(ctx, []lookedAt{{origin.File{Size: size}, path, id}}, []bool{true})
	if err != nil {
		return 0, "", err
	}
	j.remember(id, list[0])
	return size, list[0], nil
}

func (j *Job) remember(id origin.ID, sum string) {
	if id == "" {
		return
	}
	if j.hashed == nil {
		j.hashed = map[origin.ID]string{}
	}
	j.hashed[id] = sum
}

// alike refuses ranks that see other files than rank 0.
func (j *Job) alike(all [][]lookedAt) error {
	for r, list := range all {
		changes := files(all[0]).Changes(files(list))
		if len(changes) == 0 {
			continue
		}
		c := changes[0]
		said := fmt.Sprintf("%s differs from rank 0's on %s", c.File, j.ranks.Name(r))
		switch c.How {
		case origin.New:
			said = fmt.Sprintf("%s is there on %s and not on rank 0", c.File, j.ranks.Name(r))
		case origin.Gone:
			said = fmt.Sprintf("%s is missing on %s", c.File, j.ranks.Name(r))
		}
		where := list
		if c.How == origin.Gone {
			where = all[0]
		}
		for _, f := range where {
			if f.For == c.File.For && f.Name == c.File.Name {
				said = f.Path + ": " + said
			}
		}
		if n := len(changes) - 1; n > 0 {
			said += fmt.Sprintf(" (and %d more)", n)
		}
		return fmt.Errorf("workers do not read the same files: %s; copy rank 0's to every machine, or keep them on a disk that all share", said)
	}
	return nil
}

func files(list []lookedAt) origin.List {
	out := make(origin.List, len(list))
	for i, f := range list {
		out[i] = f.File
	}
	return out
}
