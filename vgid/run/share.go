package run

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
)

const (
	// shareChunk is what one broadcast carries of a file: all the memory it takes.
	shareChunk = 4 << 20
	// sharePiece is how much is sent before the ranks tell each other whether all
	// could read or write it.
	sharePiece = 4 * shareChunk
)

// share brings a folder inside the run's folder, which rank 0 made, as it is to the
// ranks that do not see it there. What others have of it, by content, stays; what
// they have of an earlier run is replaced. Any other folder is left to be where it
// has to be. All ranks call it.
func (j *Job) share(ctx context.Context, dir string) error {
	if j.Comm.Size() == 1 {
		return nil
	}
	if s, err := j.findDisks(ctx); err != nil || !s.apart() {
		return err
	}
	raw, err := barrier.FromRank0(ctx, j.ranks, func(ctx context.Context) ([]byte, error) { return j.manifest(ctx, dir) })
	if err != nil || raw == nil {
		return err
	}
	m, err := origin.DecodeManifest(raw)
	if err != nil {
		return err
	}
	var r *receiver // on ranks that write for others of their folder
	defer func() { r.close() }()
	needs, err := barrier.Gather(ctx, j.ranks, func(ctx context.Context) (_ []int, err error) {
		if j.ranks.Rank() == 0 || !j.hosts() {
			return nil, nil
		}
		if r, err = j.receive(ctx, m); err != nil {
			return nil, err
		}
		return r.needs, nil
	})
	if err != nil {
		return err
	}
	var size int64
	wanted := map[int]bool{}
	for _, list := range needs {
		for _, i := range list {
			if i >= 0 && i < len(m.Files) && !wanted[i] {
				wanted[i], size = true, size+m.Files[i].Size
			}
		}
	}
	if len(wanted) > 0 {
		j.Show.Printf("%s goes to the workers that do not see it: %d files, %v", dir, len(wanted), backend.Bytes(size))
	}
	for i := range m.Files {
		if wanted[i] {
			if err := j.send(ctx, m.Files[i], r); err != nil {
				return err
			}
		}
	}
	_, err = j.ranks.Barrier(ctx, func(context.Context) ([]byte, error) { return nil, r.finish() })
	return err
}

// manifest lists a folder of the run's folder, encoded; nothing of any other, or of
// one that is not there.
func (j *Job) manifest(ctx context.Context, dir string) ([]byte, error) {
	rel, ok := j.inside(dir)
	if !ok {
		return nil, nil
	}
	dir = filepath.Join(j.Dir(), rel)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // who needs it says so
	}
	list, err := j.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	m := origin.Manifest{Folder: filepath.ToSlash(rel), Files: list}
	return m.Encode()
}

// inside gives the path of dir below the run's folder, if it is there.
func (j *Job) inside(dir string) (string, bool) {
	top, err1 := filepath.Abs(j.Dir())
	dir, err2 := filepath.Abs(dir)
	if err1 != nil || err2 != nil {
		return "", false
	}
	rel, err := filepath.Rel(top, dir)
	return rel, err == nil && rel != "." && filepath.IsLocal(rel)
}

// send sends a file of rank 0 to all. Those that need it write it.
func (j *Job) send(ctx context.Context, f origin.File, r *receiver) error {
	var from *os.File
	var failed error
	if j.ranks.Rank() == 0 {
		if from, failed = os.Open(filepath.Join(j.Dir(), filepath.FromSlash(f.Name))); failed == nil {
			defer from.Close()
		}
	}
	to := r.begin(f)
	defer to.abort()
	buf := make([]byte, min(shareChunk, f.Size))
	for sent := int64(0); sent < f.Size; {
		for end := min(sent+sharePiece, f.Size); sent < end; {
			part := buf[:min(shareChunk, end-sent)]
			// A rank that cannot go on takes part until all meet: nobody hangs.
			if from != nil && failed == nil {
				_, failed = io.ReadFull(from, part)
			}
			if err := j.Comm.Broadcast(ctx, collective.Bytes(part), 0); err != nil {
				return err
			}
			if failed == nil {
				failed = to.write(part)
			}
			sent += int64(len(part))
		}
		_, err := j.ranks.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
			if failed != nil {
				return nil, failed
			}
			return nil, ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	// A disk may take its time until the last byte is safe.
	_, err := j.ranks.Barrier(ctx, func(context.Context) ([]byte, error) {
		if failed != nil || to == nil {
			return nil, failed
		}
		if err := to.end(); err != nil {
			return nil, err
		}
		_, id, err := origin.Stat(filepath.Join(j.Dir(), filepath.FromSlash(f.Name)))
		j.remember(id, f.SHA256) // it was checked
		return nil, err
	})
	return err
}
