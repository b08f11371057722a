package transfer

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

	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/rundir"
)

// workerMark begins the names of the files by which workers find out who shares a
// disk. They are there for a moment only.
const workerMark = ".worker-"

// Disks is which ranks see the same run folder.
//
// What must hold: after Find the answer is the same on all ranks and does not change.
// Of those that see one folder the lowest rank hosts it: it alone writes into it for
// the others.
type Disks struct {
	ranks *barrier.Group
	dir   *rundir.Dir
	node  string
	spell config.Spelling
	host  []int // of each rank: the lowest one that sees the same run folder
}

// NewDisks knows nothing yet. node is the name of this rank's node, which all learn
// with the rest; it may be empty. spell is how a user gives a run another folder.
func NewDisks(ranks *barrier.Group, dir *rundir.Dir, node string, spell config.Spelling) *Disks {
	return &Disks{ranks: ranks, dir: dir, node: node, spell: spell}
}

// Apart reports whether some rank does not see rank 0's run folder.
func (s *Disks) Apart() bool {
	return slices.ContainsFunc(s.host, func(h int) bool { return h != 0 })
}

// Hosts reports whether this rank is the one that writes into its run folder.
func (s *Disks) Hosts() bool { return s.host[s.ranks.Rank()] == s.ranks.Rank() }

// Find finds out, once, which ranks see the same run folder: those on one machine
// or one shared disk mostly do, unless they began in different folders. Each leaves
// a mark there and looks for the others'. All ranks call it.
func (s *Disks) Find(ctx context.Context) error {
	if s.host != nil {
		return nil
	}
	rank := s.ranks.Rank()
	type hello struct{ Mark, Node string }
	all, err := barrier.Gather(ctx, s.ranks, func(context.Context) (hello, error) { return hello{rand.Text(), s.node}, nil })
	if err != nil {
		return err
	}
	nodes := make([]string, len(all))
	for r, h := range all {
		nodes[r] = h.Node
	}
	s.ranks.SetNodes(nodes)
	mark := func(r int) string { return s.dir.Path(fmt.Sprintf("%s%s-%d", workerMark, all[r].Mark, r)) }
	defer os.Remove(mark(rank)) // of no use if it fails, and cleared by the next run
	var failed error            // rank 0's folder may be there to read only
	if _, err = barrier.Gather(ctx, s.ranks, func(context.Context) (struct{}, error) {
		if failed = os.MkdirAll(s.dir.Path(), 0o755); failed == nil {
			failed = os.WriteFile(mark(rank), nil, 0o644)
		}
		return struct{}{}, nil
	}); err != nil {
		return err
	}
	host, err := barrier.Gather(ctx, s.ranks, func(context.Context) (int, error) {
		for r := range rank {
			// By name: a list of the folder may be an old one on a network's disk.
			if _, err := os.Lstat(mark(r)); err == nil {
				return r, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
		}
		if failed != nil {
			return 0, fmt.Errorf("run folder: %w; choose where runs go with %s", failed, s.spell("out", ""))
		}
		return rank, nil
	})
	if err != nil {
		return err
	}
	for r, h := range host {
		if h < 0 || h > r {
			return fmt.Errorf("rank %d says that it shares the folder of rank %d", r, h)
		}
	}
	s.host = host
	return nil
}

// ClearMarks removes what workers that were killed left of their marks.
func (s *Disks) ClearMarks() error {
	entries, err := os.ReadDir(s.dir.Path())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workerMark) {
			if err := os.Remove(filepath.Join(s.dir.Path(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
