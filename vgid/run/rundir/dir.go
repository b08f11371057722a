package rundir

import (
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"vgid/model/kit/safefile"
)

// Dir is a run's folder. What is in it is written to a temporary name and renamed,
// so that whoever reads it, also after a crash, sees whole files. Of the ranks that
// see the same folder one holds its lock, while the run lasts.
type Dir struct {
	path string
	lock *flock.Flock // nil: not held
}

// New is the folder of a run by its name, in the folder where runs go. It need not be
// there yet.
func New(out, name string) *Dir { return &Dir{path: filepath.Join(out, name)} }

// Path is the path of what lies in the folder, or of the folder itself.
func (d *Dir) Path(parts ...string) string {
	return filepath.Join(append([]string{d.path}, parts...)...)
}

// Inside gives the path of what lies below the folder relative to it, and whether it
// does, by the spelling of the paths.
func (d *Dir) Inside(path string) (string, bool) {
	top, err1 := filepath.Abs(d.path)
	path, err2 := filepath.Abs(path)
	if err1 != nil || err2 != nil {
		return "", false
	}
	rel, err := filepath.Rel(top, path)
	return rel, err == nil && rel != "." && filepath.IsLocal(rel)
}

// WriteFile replaces a file, and makes its folder, so that no reader and no
// crash ever sees half of it.
func WriteFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return safefile.WriteBytes(name, data)
}
