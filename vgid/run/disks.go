package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/vgid/run/barrier"
)

// workerMark begins the names of the files by which workers find out who shares a
// disk. They are there for a moment only.
const workerMark = ".worker-"

// disks are what the ranks know of each other's run folders.
type disks struct {
	host []int // of each rank: the lowest one that sees the same run folder
}

// apart reports whether some rank does not see rank 0's run folder.
func (s *disks) apart() bool { return slices.ContainsFunc(s.host, func(h int) bool { return h != 0 }) }

// findDisks finds out, once, which ranks see the same run folder: those on one machine
// or one shared disk mostly do, unless they began in different folders. Each leaves
// a mark there and looks for the others'. All ranks call it.
func (j *Job) findDisks(ctx context.Context) (*disks, error) {
	if j.disks != nil {
		return j.disks, nil
	}
	rank := j.Comm.Rank()
	type hello struct{ Mark, Node string }
	all, err := barrier.Gather(ctx, j.ranks, func(context.Context) (hello, error) { return hello{rand.Text(), j.Node}, nil })
	if err != nil {
		return nil, err
	}
	s := &disks{}
	nodes := make([]string, len(all))
	for r, h := range all {
		nodes[r] = h.Node
	}
	j.ranks.SetNodes(nodes)
	mark := func(r int) string { return j.path(fmt.Sprintf("%s%s-%d", workerMark, all[r].Mark, r)) }
	defer os.Remove(mark(rank)) // of no use if it fails, and cleared by the next run
	var failed error            // rank 0's folder may be there to read only
	if _, err = barrier.Gather(ctx, j.ranks, func(context.Context) (struct{}, error) {
		if failed = os.MkdirAll(j.Dir(), 0o755); failed == nil {
			failed = os.WriteFile(mark(rank), nil, 0o644)
		}
		return struct{}{}, nil
	}); err != nil {
		return nil, err
	}
	s.host, err = barrier.Gather(ctx, j.ranks, func(context.Context) (int, error) {
		for r := range rank {
			// By name: a list of the folder may be an old one on a network's disk.
			if _, err := os.Lstat(mark(r)); err == nil {
				return r, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
		}
		if failed != nil {
			return 0, fmt.Errorf("run folder: %w; choose where runs go with --out", failed)
		}
		return rank, nil
	})
	if err != nil {
		return nil, err
	}
	for r, h := range s.host {
		if h < 0 || h > r {
			return nil, fmt.Errorf("rank %d says that it shares the folder of rank %d", r, h)
		}
	}
	j.disks = s
	return s, nil
}

// hosts reports whether this rank is the one that writes into its run folder.
func (j *Job) hosts() bool { return j.disks.host[j.Comm.Rank()] == j.Comm.Rank() }

// clearMarks removes what workers that were killed left of their marks.
func (j *Job) clearMarks() error {
	entries, err := os.ReadDir(j.Dir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workerMark) {
			if err := os.Remove(filepath.Join(j.Dir(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
