package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/collective"
	"vgid/model/kit/bytesize"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/rundir"
)

const (
	// shareChunk is what one broadcast carries of a file: all the memory it takes.
	shareChunk = 4 << 20
	// sharePiece is how much is sent before the ranks tell each other whether all
	// could read or write it.
	sharePiece = 4 * shareChunk
)

// Transfer brings folders of rank 0's run folder to the other ranks' own.
//
// What must hold: all ranks agree, before the first byte, on what is sent and who
// takes it; a rank whose disk fails takes part in the broadcasts up to the next
// barrier, so that none waits for it in vain; and a file has its name only when it is
// whole, checked and safe on the disk.
type Transfer struct {
	ranks *barrier.Group
	dir   *rundir.Dir
	files *fingerprint.Files
	disks *Disks
	say   func(format string, args ...any)
}

// New transfers folders inside dir. say tells the user what takes long.
func New(ranks *barrier.Group, dir *rundir.Dir, files *fingerprint.Files, disks *Disks, say func(format string, args ...any)) *Transfer {
	return &Transfer{ranks: ranks, dir: dir, files: files, disks: disks, say: say}
}

// Share brings a folder inside the run's folder, which rank 0 made, as it is to the
// ranks that do not see it there. What others have of it, by content, stays; what
// they have of an earlier run is replaced. Any other folder is left to be where it
// has to be. All ranks call it.
func (t *Transfer) Share(ctx context.Context, dir string) error {
	if t.ranks.Size() == 1 {
		return nil
	}
	if err := t.disks.Find(ctx); err != nil || !t.disks.Apart() {
		return err
	}
	raw, err := barrier.FromRank0(ctx, t.ranks, func(ctx context.Context) ([]byte, error) { return t.manifest(ctx, dir) })
	if err != nil || raw == nil {
		return err
	}
	m, err := origin.DecodeManifest(raw)
	if err != nil {
		return err
	}
	var r *receiver // on ranks that write for others of their folder
	defer func() { r.close() }()
	needs, err := barrier.Gather(ctx, t.ranks, func(ctx context.Context) (_ []int, err error) {
		if t.ranks.Rank() == 0 || !t.disks.Hosts() {
			return nil, nil
		}
		if r, err = t.receive(ctx, m); err != nil {
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
		t.say("%s goes to the workers that do not see it: %d files, %v", dir, len(wanted), bytesize.Binary(size))
	}
	for i := range m.Files {
		if wanted[i] {
			if err := t.send(ctx, m.Files[i], r); err != nil {
				return err
			}
		}
	}
	return t.ranks.Each(ctx, func(context.Context) error { return r.finish() })
}

// manifest lists a folder of the run's folder, encoded; nothing of any other, or of
// one that is not there.
func (t *Transfer) manifest(ctx context.Context, dir string) ([]byte, error) {
	rel, ok := t.dir.Inside(dir)
	if !ok {
		return nil, nil
	}
	dir = filepath.Join(t.dir.Path(), rel)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // who needs it says so
	}
	list, err := t.files.Below(ctx, t.dir, dir)
	if err != nil {
		return nil, err
	}
	m := origin.Manifest{Folder: filepath.ToSlash(rel), Files: list}
	return m.Encode()
}

// send sends a file of rank 0 to all. Those that need it write it.
func (t *Transfer) send(ctx context.Context, f origin.File, r *receiver) error {
	var from *os.File
	var failed error
	if t.ranks.Rank() == 0 {
		if from, failed = os.Open(filepath.Join(t.dir.Path(), filepath.FromSlash(f.Name))); failed == nil {
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
			if err := t.ranks.Comm().Broadcast(ctx, collective.Bytes(part), 0); err != nil {
				return err
			}
			if failed == nil {
				failed = to.write(part)
			}
			sent += int64(len(part))
		}
		_, err := t.ranks.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
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
	_, err := t.ranks.Barrier(ctx, func(context.Context) ([]byte, error) {
		if failed != nil || to == nil {
			return nil, failed
		}
		if err := to.end(); err != nil {
			return nil, err
		}
		_, id, err := origin.Stat(filepath.Join(t.dir.Path(), filepath.FromSlash(f.Name)))
		t.files.Learn(id, f.SHA256) // it was checked
		return nil, err
	})
	return err
}
