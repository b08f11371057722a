package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"vgid/model/kit/safefile"
	"vgid/vgid/origin"
	"vgid/vgid/run/rundir"
)

// ReceivedFile lists, in the run's folder, what came there from rank 0: the SHA-256
// digests that a file may have, by name. Nothing else is ever replaced.
const ReceivedFile = ".received.json"

// receiver writes a folder of rank 0 into this rank's run folder, and nowhere else.
// A nil one keeps nothing.
type receiver struct {
	root     *os.Root
	manifest origin.Manifest
	ours     map[string][]string // what ReceivedFile holds
	needs    []int               // files of the manifest that are not here
	extra    []string            // files here that are not in the manifest
}

// receive looks at what this rank has of a folder of rank 0. A file that would be
// replaced or removed has to be one that runs made.
func (t *Transfer) receive(ctx context.Context, m origin.Manifest) (_ *receiver, err error) {
	r := &receiver{manifest: m}
	if r.root, err = os.OpenRoot(t.dir.Path()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.ours, err = received(r.root); err != nil {
		return nil, err
	}
	// A stage that ran here, on another day as rank 0 perhaps, made files that no
	// transfer wrote: its record vouches for them.
	made, err := t.dir.Made(m.Folder)
	if err != nil {
		return nil, err
	}
	have, err := r.look(func(name string) (string, error) {
		_, sum, err := t.files.One(ctx, filepath.Join(t.dir.Path(), filepath.FromSlash(name)))
		return sum, err
	})
	if err != nil {
		return nil, err
	}
	now := map[string]bool{} // names that rank 0 has
	for i, f := range m.Files {
		now[f.Name] = true
		if have[f.Name] == f.SHA256 {
			delete(have, f.Name) // it stays, whoever made it
			continue
		}
		r.needs = append(r.needs, i)
		r.ours[f.Name] = append(r.ours[f.Name], f.SHA256)
	}
	for name, sum := range have {
		// A digest, not a name, says that a file is a run's: somebody may have put his
		// own in its place.
		if !slices.Contains(r.ours[name], sum) && made[name] != sum {
			return nil, fmt.Errorf("%s is not what rank 0 has there, and no run is known to have made it: move it away, or give this run another %s", filepath.Join(t.dir.Path(), filepath.FromSlash(name)), t.disks.spell("name", ""))
		}
		if r.ours[name] = append(r.ours[name], sum); !now[name] {
			r.extra = append(r.extra, name)
		}
	}
	if len(r.needs)+len(r.extra) == 0 {
		return r, nil
	}
	// Written now, the list holds more than is here; written later, a crash would leave
	// files that nobody vouches for.
	return r, r.record() // before the first file comes: the next run knows them after a crash
}

// look gives the digests of the files in the folder, and removes what is left of
// files that were cut off.
func (r *receiver) look(digest func(name string) (string, error)) (map[string]string, error) {
	have := map[string]string{}
	err := fs.WalkDir(r.root.FS(), r.manifest.Folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == r.manifest.Folder:
			return nil
		case err != nil:
			return err
		case d.Type().IsRegular() && safefile.IsPart(d.Name()):
			return r.root.Remove(name)
		// Hidden files are never sent (origin.Manifest), so they are no difference.
		case d.IsDir() && d.Name()[0] == '.':
			return fs.SkipDir
		case d.IsDir() || d.Name()[0] == '.' || name == path.Join(r.manifest.Folder, rundir.RecordFile):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no regular file and would be replaced by one: move it away", filepath.Join(r.root.Name(), name))
		}
		have[name], err = digest(name)
		return err
	})
	return have, err
}

// received reads ReceivedFile.
func received(root *os.Root) (map[string][]string, error) {
	ours := map[string][]string{}
	b, err := root.ReadFile(ReceivedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ours, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &ours)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w; remove it, and what it should list", filepath.Join(root.Name(), ReceivedFile), err)
	}
	return ours, err
}

func (r *receiver) record() error {
	for name, sums := range r.ours {
		slices.Sort(sums)
		r.ours[name] = slices.Compact(sums)
	}
	b, err := json.MarshalIndent(r.ours, "", "  ")
	if err != nil {
		return err
	}
	return safefile.WriteBytesIn(r.root, ReceivedFile, b)
}

// finish removes what rank 0 does not have, once all is here that it has.
func (r *receiver) finish() error {
	if r == nil || len(r.needs)+len(r.extra) == 0 {
		return nil
	}
	for _, name := range r.extra {
		if err := r.root.Remove(name); err != nil {
			return err
		}
		delete(r.ours, name)
	}
	for _, i := range r.needs {
		f := r.manifest.Files[i]
		r.ours[f.Name] = []string{f.SHA256}
	}
	return r.record()
}

func (r *receiver) close() {
	if r != nil {
		r.root.Close() // nothing is written through it any more
	}
}
