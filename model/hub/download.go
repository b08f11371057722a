package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// isHash takes SHA-1, of git, and SHA-256, of large files. A name that is neither must
// not become a path.
var isHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString

// blob makes sure that the cache has the contents of a file. What an
// interrupted attempt left in ETAG.incomplete is gone on with.
//
// The lock is per file and not per model, so that two processes share the work of fetching one.
// It returns nil only when the contents are in place under their hash.
func (s *session) blob(ctx context.Context, commit string, f *file) error {
	etag := f.etag()
	if !isHash(etag) {
		return fmt.Errorf("%s: the hub gives no hash of %s", s.ref, f.Name)
	}
	for _, d := range []string{filepath.Dir(s.repo.blob("x")), s.repo.snapshot(commit)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("cache of models: %w; choose another with HF_HOME", err)
		}
	}
	path := s.repo.blob(etag)
	if exists(path) {
		return nil
	}
	unlock, err := s.repo.lock(ctx, etag, func() {
		s.logf("%s: waiting for another process that fetches %s", s.ref, f.Name)
	})
	if err != nil {
		return err
	}
	defer unlock()
	if exists(path) { // the other process has fetched it
		return nil
	}
	part := path + ".incomplete"
	resumed := false
	if info, err := os.Stat(part); err == nil {
		resumed = info.Size() > 0
	}
	err = s.download(ctx, commit, f, part)
	if errors.Is(err, errContents) && resumed { // the rest of another file, perhaps
		s.logf("%s: %v; fetching all of it again", s.ref, err)
		err = s.download(ctx, commit, f, part)
	}
	if err != nil {
		return err
	}
	return os.Rename(part, path)
}

// exists reports whether a file can be looked at.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// errContents marks a file that is not what the hub says it is.
var errContents = errors.New("was deleted")

// download writes a file to part and checks it.
// It writes to part only; the name under which others look for the file is given by a rename,
// when its hash was right.
// A file whose hash is wrong is emptied before the error; one that is incomplete is left to be gone
// on with.
func (s *session) download(ctx context.Context, commit string, f *file, part string) (err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("cache of models: %w", err)
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	sum := f.hash()
	// What is there already is hashed, not trusted: the hash of the whole decides.
	have, err := io.Copy(sum, out)
	if err != nil {
		return err
	}
	if have > f.Size {
		if have, err = 0, restart(out); err != nil {
			return err
		}
		sum = f.hash()
	}
	u := fmt.Sprintf("%s/%s/resolve/%s/%s", s.Endpoint, s.ref.Repo, commit, url.PathEscape(f.Name))
	p := s.progress(f, have)
	err = s.retry(ctx, func() (progress bool, err error) {
		if have == f.Size {
			return false, nil
		}
		resp, stop, err := s.get(ctx, u, have)
		if err != nil {
			return false, err
		}
		defer stop()
		if have > 0 && !continues(resp, have) { // the server does not do ranges
			if have, err = 0, restart(out); err != nil {
				return false, err
			}
			sum, p.have = f.hash(), 0
			if resp.StatusCode != http.StatusOK {
				return false, &transient{fmt.Errorf("%s answers %s to a range", resp.Request.URL.Host, resp.Status), 0}
			}
		}
		// One byte more than is due shows a file that is too long.
		n, err := io.Copy(io.MultiWriter(out, sum, p), io.LimitReader(resp.Body, f.Size-have+1))
		have += n
		var disk *os.PathError
		switch {
		// A full disk does not pass by waiting; a connection may.
		case errors.As(err, &disk):
			return false, err
		case err != nil:
			return n > 0, &transient{unreachable(s.Endpoint, err), 0}
		case have < f.Size:
			return n > 0, &transient{fmt.Errorf("the connection ended after %d of %d bytes of %s", have, f.Size, f.Name), 0}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); have != f.Size || got != f.etag() {
		if err := restart(out); err != nil {
			return err
		}
		return fmt.Errorf("%s of %s: %d bytes with hash %s came, the hub says %d bytes with %s; it %w, try again", f.Name, s.ref, have, got, f.Size, f.etag(), errContents)
	}
	p.done()
	return out.Sync()
}

// hash is that of the hub: SHA-256 of large files, git's of the others.
// git puts a header with the size in front of what it hashes.
func (f *file) hash() hash.Hash {
	if f.LFS != nil {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", f.Size) // a hash takes every write
	return h
}

// restart empties a file that is begun again.
func restart(out *os.File) error {
	if err := out.Truncate(0); err != nil {
		return err
	}
	_, err := out.Seek(0, io.SeekStart)
	return err
}

// continues says that an answer goes on at a byte.
// A server that ignores the range answers 200 with the whole file, whose start must not be
// written behind the part.
func continues(resp *http.Response, from int64) bool {
	return resp.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from))
}

// watched ends a request whose connection says nothing for too long.
type watched struct {
	io.ReadCloser
	timer *time.Timer
	stall time.Duration
}

// watch cancels a request when its body gives nothing for the time of a stall. A
// transfer that is slow but goes on is left alone, however long it takes.
func watch(body io.ReadCloser, stall time.Duration, cancel context.CancelCauseFunc) io.ReadCloser {
	return &watched{body, time.AfterFunc(stall, func() {
		cancel(fmt.Errorf("nothing came for %v", stall))
	}), stall}
}

// Read gives the connection another stall's time.
// The timer starts with the answer's head, when there is a body to wait for.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.timer.Reset(w.stall)
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
