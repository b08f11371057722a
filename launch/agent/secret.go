//go:build unix

package agent

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// leastSecret is the shortest secret that is taken, in bytes.
const leastSecret = 16

// mostSecret bounds what is read of a file that was named by mistake.
const mostSecret = 1 << 16

// ReadSecret reads what the agents of a job share from a file that only its
// owner can read.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The file and not its path is asked, so that it cannot be exchanged between
	// the look and the reading.
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file; give a file that holds the secret", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s: others can read or write it (mode %04o); chmod 600 %s", path, info.Mode().Perm(), path)
	case ok && int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%s: belongs to another user (uid %d); give a copy of your own", path, st.Uid)
	case info.Size() > mostSecret:
		return nil, fmt.Errorf("%s: too long for a secret (%d bytes, at most %d are read)", path, info.Size(), mostSecret)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b = bytes.TrimSpace(b)
	return b, CheckSecret(path, b)
}

// CheckSecret refuses a secret that is too short; where says where it is from.
func CheckSecret(where string, b []byte) error {
	if len(b) < leastSecret {
		return fmt.Errorf("%s: a secret of %d bytes is too short, at least %d are needed; as: head -c 32 /dev/urandom | base64", where, len(b), leastSecret)
	}
	return nil
}

// UserSecret is the secret that all launches of this user on this machine
// share, kept in a file in dir and made when it is not there. It keeps other
// users of the machine out of a job whose agents meet on the loopback.
func UserSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, "launch.key")
	b, err := ReadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, ".launch.key.*") // of mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	// A link never replaces the file of another launch that was faster.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return ReadSecret(path)
}
