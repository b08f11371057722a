package safefile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// part is in the names of temporary files of WriteIn, which begin with a dot.
const part = ".part-"

// IsPart reports whether a name is that of a temporary file that WriteIn left
// when it was cut off.
func IsPart(name string) bool { return name[0] == '.' && strings.Contains(name, part) }

// WriteIn is Write for a file below a folder that no name and no link leads out
// of. Folders on the way to it are made. A file or a link of that name is replaced.
func WriteIn(root *os.Root, name string, write func(io.Writer) error) (err error) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// In the folder of the file itself: a rename is atomic within one file system.
	tmp := path.Join(dir, "."+base+part+rand.Text())
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return aboutFile(name, tmp, err)
	}
	defer func() {
		if err != nil { // otherwise both are done
			err = aboutFile(name, f.Name(), err)
			f.Close()
			if gone := root.Remove(tmp); gone != nil && !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("what is left of it: %w", gone))
			}
		}
	}()
	w := bufio.NewWriterSize(f, buffer)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := root.Rename(tmp, name); err != nil {
		return err
	}
	// The folder is synced as well: the name is in it.
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// WriteBytesIn is WriteIn for what is in memory already.
func WriteBytesIn(root *os.Root, name string, b []byte) error {
	return WriteIn(root, name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}
