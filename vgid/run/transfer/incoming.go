package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"vgid/model/kit/safefile"
	"vgid/vgid/origin"
)

// incoming is a file of rank 0 on its way to this rank's disk. A nil one is not
// kept.
type incoming struct {
	pipe *io.PipeWriter
	done chan error // of the goroutine that writes
}

// begin prepares for a file that others send.
func (r *receiver) begin(f origin.File) *incoming {
	if r == nil || !slices.ContainsFunc(r.needs, func(i int) bool { return r.manifest.Files[i].Name == f.Name }) {
		return nil
	}
	from, to := io.Pipe()
	in := &incoming{to, make(chan error, 1)}
	go func() {
		err := safefile.WriteIn(r.root, f.Name, func(w io.Writer) error {
			h := sha256.New()
			if _, err := io.Copy(io.MultiWriter(w, h), from); err != nil {
				return err
			}
			if hex.EncodeToString(h.Sum(nil)) != f.SHA256 { // it is not renamed then
				return errors.New("rank 0's file was written to while it was sent; start again when it is whole")
			}
			return nil
		})
		if err != nil {
			err = fmt.Errorf("%s: %w", filepath.Join(r.root.Name(), filepath.FromSlash(f.Name)), err)
		}
		from.CloseWithError(err) // a writer does not wait for a reader that is gone
		in.done <- err
	}()
	return in
}

// write adds bytes to the file.
func (in *incoming) write(b []byte) error {
	if in == nil {
		return nil
	}
	_, err := in.pipe.Write(b)
	return err
}

// end gives the file its name once it is whole and safe on the disk. It is called
// once.
func (in *incoming) end() error {
	in.pipe.Close()
	err := <-in.done
	in.done = nil
	return err
}

var errAborted = errors.New("the transfer was cut off")

// abort drops a file that has not ended.
func (in *incoming) abort() {
	if in == nil || in.done == nil {
		return
	}
	in.pipe.CloseWithError(errAborted)
	<-in.done //nolint:errcheck // it was ended here
	in.done = nil
}
