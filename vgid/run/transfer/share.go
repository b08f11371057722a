package transfer

import (
	"cmp"
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
// Only what lies in the run's folder is ever sent or written.
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
		// Of the ranks that see one folder one writes, or they would replace each other's files.
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
	wanted, size := wantedOf(m, needs)
	if len(wanted) > 0 {
		t.say("%s goes to the workers that do not see it: %d files, %v", dir, len(wanted), bytesize.Binary(size))
	}
	// One after the other: the disks would otherwise hold many files half.
	for i := range m.Files {
		if wanted[i] {
			if err := t.send(ctx, m.Files[i], r); err != nil {
				return err
			}
		}
	}
	return t.ranks.Each(ctx, func(context.Context) error { return r.finish() })
}

// wantedOf are the files of a manifest that some rank needs, by number, and how many
// bytes they have. What a rank needs beyond the manifest does not count.
func wantedOf(m origin.Manifest, needs [][]int) (wanted map[int]bool, size int64) {
	wanted = map[int]bool{}
	for _, list := range needs {
		for _, i := range list {
			if i >= 0 && i < len(m.Files) && !wanted[i] {
				wanted[i], size = true, size+m.Files[i].Size
			}
		}
	}
	return wanted, size
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

// send sends a file of rank 0 to all. Those that need it write it. All ranks call it.
// A file of no bytes has no chunk, and begins and ends all the same.
func (t *Transfer) send(ctx context.Context, f origin.File, r *receiver) error {
	path := filepath.Join(t.dir.Path(), filepath.FromSlash(f.Name))
	s := sending{to: r.begin(f)}
	defer s.to.abort()
	if t.ranks.Rank() == 0 {
		if s.from, s.failed = os.Open(path); s.failed == nil {
			defer s.from.Close()
		}
	}
	buf := make([]byte, min(shareChunk, f.Size))
	for sent := int64(0); sent < f.Size; {
		end := min(sent+sharePiece, f.Size)
		for ; sent < end; sent += int64(len(buf)) {
			buf = buf[:min(shareChunk, end-sent)]
			if err := s.chunk(ctx, t.ranks.Comm(), buf); err != nil {
				return err
			}
		}
		if err := t.ranks.Each(ctx, func(ctx context.Context) error { return cmp.Or(s.failed, ctx.Err()) }); err != nil {
			return err
		}
	}
	// A disk may take its time until the last byte is safe.
	return t.ranks.Each(ctx, func(context.Context) error {
		if s.failed != nil || s.to == nil {
			return s.failed
		}
		if err := s.to.end(); err != nil {
			return err
		}
		_, id, err := origin.Stat(path)
		t.files.Learn(id, f.SHA256) // it was checked
		return err
	})
}

// sending is a file on its way, as one rank sees it.
type sending struct {
	from   *os.File  // on rank 0
	to     *incoming // nil on ranks that do not need it
	failed error     // the first failure of this rank's disk
}

// chunk takes the next bytes of the file to all. A rank that cannot go on takes part
// all the same, with whatever is in buf, until the next barrier: nobody waits in vain.
func (s *sending) chunk(ctx context.Context, comm *collective.Comm, buf []byte) error {
	if s.from != nil && s.failed == nil {
		_, s.failed = io.ReadFull(s.from, buf)
	}
	if err := comm.Broadcast(ctx, collective.Bytes(buf), 0); err != nil {
		return err
	}
	if s.failed == nil {
		s.failed = s.to.write(buf)
	}
	return nil
}
