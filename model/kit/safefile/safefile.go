// Package safefile writes files whole or not at all: under a temporary name, synced,
// then renamed, so that a reader, or whoever comes after a crash, finds the old file
// or the whole new one.
package safefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Write creates path through a temporary file in the same folder that is
// fsynced and renamed, so a reader finds the old file or the whole new one. A
// folder, a device or a pipe of that name is not replaced. Errors of the file
// system name path, not the temporary file.
func Write(path string, write func(io.Writer) error) error {
	switch info, err := os.Stat(path); {
	case err != nil:
	case info.IsDir():
		return fmt.Errorf("%s is a folder; name a file", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file and would be replaced by one; name another", path)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return aboutFile(path, "", err)
	}
	defer f.Cleanup() // nothing is left to clean after the replacement
	return aboutFile(path, f.Name(), replace(f, write))
}

// WriteBytes is Write for what is in memory already.
func WriteBytes(path string, b []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// buffer is how much is collected before it is written, in bytes. What comes in larger
// pieces, as weights do, goes around it; most files are smaller than it.
const buffer = 64 << 10

// replace writes the temporary file and gives it the name; renameio syncs it in between.
func replace(f *renameio.PendingFile, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, buffer)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// aboutFile puts path in the place of the temporary file in an error, of any file
// where that has no name yet. Errors of files that are read meanwhile stay theirs.
func aboutFile(path, temporary string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p) && (temporary == "" || p.Path == temporary):
		return fmt.Errorf("%s: %w", path, p.Err)
	case errors.As(err, &l) && (temporary == "" || l.Old == temporary):
		return fmt.Errorf("%s: %w", path, l.Err)
	}
	return err
}
