package origin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// ID tells apart, without reading them, files that one machine sees: those with
// equal IDs hold the same bytes. An empty one tells nothing.
type ID string

// Stat gives the size of a file and its ID.
func Stat(path string) (int64, ID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, "", err
	}
	if !info.Mode().IsRegular() {
		return 0, "", fmt.Errorf("%s is no regular file", path)
	}
	return info.Size(), identity(info), nil
}

// Hash reads a file and gives its SHA-256 in hexadecimal digits. One that is
// written to meanwhile is an error.
// Its ID before and after tells so, where files have one.
func Hash(ctx context.Context, path string) (string, error) {
	_, before, err := Stat(path)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, reader{ctx, f}, make([]byte, 128<<10)); err != nil {
		return "", err
	}
	switch _, after, err := Stat(path); {
	case err != nil:
		return "", err
	case after != before:
		return "", fmt.Errorf("%s was written to while it was read; start again when it is whole", path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// reader ends with its context.
// A file of gigabytes on a slow disk would otherwise hold up the end of a run.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
