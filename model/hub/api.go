package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// session is one Fetch.
// It keeps what all requests of it share. One goroutine uses it.
// ref is what the user asked for, for messages; all requests but the first go by the commit.
type session struct {
	*Client
	ref  Ref
	repo repo
	http *http.Client
}

// file is a file of a model on the hub.
// Files that git keeps by itself have a SHA-1, those in large file storage (LFS) a SHA-256 and
// their true size.
// Size is that of the contents after list, which takes LFS's word where there is one.
type file struct {
	Name string `json:"rfilename"`
	Size int64  `json:"size"`
	Git  string `json:"blobId"` // SHA-1 of the git object
	LFS  *struct {
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	} `json:"lfs"`
}

// etag names the file's contents, as the hub does in its headers.
func (f *file) etag() string {
	if f.LFS != nil {
		return f.LFS.SHA256
	}
	return f.Git
}

// listing is the hub's answer about a revision.
// Everything behind it is asked for by the commit, so that a branch that moves meanwhile mixes no
// files.
type listing struct {
	Commit string `json:"sha"`
	Files  []file `json:"siblings"`
}

// list asks for the commit of a revision and its files.
// 64 MiB bounds what a broken answer can take.
func (s *session) list(ctx context.Context) (*listing, error) {
	u := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", s.Endpoint, s.ref.Repo, url.PathEscape(s.ref.Revision))
	var l listing
	err := s.retry(ctx, func() (bool, error) {
		resp, stop, err := s.get(ctx, u, 0)
		if err != nil {
			return false, err
		}
		defer stop()
		raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		if err != nil {
			return false, &transient{err, 0}
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			return false, fmt.Errorf("%s does not answer as a hub does: %w", u, err)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if !isCommit(l.Commit) {
		return nil, fmt.Errorf("%s does not answer as a hub does: no commit", u)
	}
	for i := range l.Files {
		f := &l.Files[i]
		if f.LFS != nil {
			f.Size = f.LFS.Size
		}
	}
	return &l, nil
}

// wanted are the files beside the weights that loading a model reads.
// Indices of weights are left to weights, which reads the one it needs; Python files are never
// fetched.
// Files in folders are left out: nothing that loading reads lies in one.
func wanted(name string) bool {
	switch filepath.Ext(name) {
	case ".json":
		return plain(name) && !strings.HasSuffix(name, ".bin.index.json") && !strings.HasSuffix(name, ".safetensors.index.json")
	case ".jinja", ".model":
		return plain(name)
	}
	return false
}

// fetch checks that the model can be used before anything large is fetched, then brings
// the files, and links them at the end: a snapshot never names what is not there.
//
// It brings all files a model, or a part, takes into the cache and links them.
func (s *session) fetch(ctx context.Context, l *listing, part Part) (string, error) {
	var names []string
	var get []*file
	for i := range l.Files {
		f := &l.Files[i]
		if plain(f.Name) {
			names = append(names, f.Name)
		}
		if wanted(f.Name) {
			get = append(get, f)
		}
	}
	switch part.missing(names) {
	case "config.json":
		return "", fmt.Errorf("%s has no config.json: it is not a model that transformers would load", s.ref)
	case "tokenizer.json":
		return "", fmt.Errorf("%s has no tokenizer.json: write one with transformers (AutoTokenizer, save_pretrained) and give the folder", s.ref)
	}
	if part == Whole {
		weights, err := s.weights(ctx, l, names)
		if err != nil {
			return "", err
		}
		get = append(get, weights...)
	}
	s.announce(get)
	for _, f := range get {
		if err := s.blob(ctx, l.Commit, f); err != nil {
			return "", err
		}
	}
	for _, f := range get {
		if err := s.repo.link(l.Commit, f.Name, f.etag()); err != nil {
			return "", err
		}
	}
	return s.repo.snapshot(l.Commit), s.repo.setRef(s.ref.Revision, l.Commit)
}

// weights are the index, which is fetched for it, and the files it names, or
// the one file there is.
// The index is read from the cache once it is there, like any other file.
func (s *session) weights(ctx context.Context, l *listing, names []string) (get []*file, err error) {
	at := map[string]*file{}
	for i := range l.Files {
		at[l.Files[i].Name] = &l.Files[i]
	}
	var index []byte
	if f := at[indexFile]; f != nil {
		if err := s.blob(ctx, l.Commit, f); err != nil {
			return nil, err
		}
		if index, err = os.ReadFile(s.repo.blob(f.etag())); err != nil {
			return nil, err
		}
		get = append(get, f)
	}
	weights, err := weightFiles(names, index)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ref, err)
	}
	slices.Sort(weights)
	for _, w := range weights {
		if at[w] == nil {
			return nil, fmt.Errorf("%s: %s names %s, which the hub does not have", s.ref, indexFile, w)
		}
		get = append(get, at[w])
	}
	return get, nil
}

// transient is an error that may pass; after is what the server asks to wait.
type transient struct {
	error
	after time.Duration
}

func (t *transient) Unwrap() error { return t.error }

// retry repeats what fails for reasons that may pass, waiting longer each time;
// an attempt that got on starts the count again.
// An attempt that is over for good returns an error that is not transient.
func (s *session) retry(ctx context.Context, attempt func() (progress bool, err error)) error {
	wait := s.Wait
	for failed := 1; ; failed++ {
		progress, err := attempt()
		var t *transient
		if err == nil || !errors.As(err, &t) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if progress {
			failed, wait = 1, s.Wait
		}
		var dial *net.OpError
		if failed >= s.Retries || failed >= 2 && errors.As(err, &dial) && dial.Op == "dial" { // most likely there is no network
			return fmt.Errorf("%w (tried %d times)", t.error, failed)
		}
		pause := max(wait, min(t.after, 5*time.Minute))
		s.logf("%s: %v; again in %v", s.ref, t.error, pause)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		wait = min(2*wait, time.Minute)
	}
}

// get asks for u from a byte on, and says of what fails whether it may pass. stop ends the request; a connection that is
// silent for longer than Stall ends by itself (watch).
// An answer is 200, 206 or 416, which the caller tells apart; any other is an error.
func (s *session) get(ctx context.Context, u string, from int64) (resp *http.Response, stop func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "vgid")
	req.Header.Set("Accept-Encoding", "identity") // ranges count the bytes themselves
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	answer, err := s.http.Do(req)
	if err != nil {
		cancel(nil)
		var r *refused
		if errors.As(err, &r) {
			return nil, nil, r
		}
		return nil, nil, &transient{unreachable(s.Endpoint, err), 0}
	}
	answer.Body = watch(answer.Body, s.Stall, cancel)
	end := func() { cancel(nil); answer.Body.Close() }
	switch answer.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return answer, end, nil
	}
	defer end()
	return nil, nil, s.status(answer)
}

// refused is a redirect that is not followed.
type refused struct{ string }

func (r *refused) Error() string { return r.string }

// redirect keeps the token from every host but the hub's own.
// Files in large storage come from other hosts, by addresses that are signed and need no token.
func (s *session) redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return &refused{"the hub redirects in circles"}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return &refused{fmt.Sprintf("the hub redirects to %s, which is not encrypted", req.URL.Host)}
	}
	if hub, err := url.Parse(s.Endpoint); err != nil || req.URL.Host != hub.Host || req.URL.Scheme != hub.Scheme {
		req.Header.Del("Authorization")
	}
	return nil
}

// status says what an answer other than success means.
// The hub answers 401 for what does not exist and for what is private alike, so that names cannot
// be tried.
func (s *session) status(resp *http.Response) error {
	code, detail := resp.StatusCode, resp.Header.Get("X-Error-Code")
	switch {
	case code == http.StatusForbidden || detail == "GatedRepo":
		if s.Token == "" {
			return fmt.Errorf("%s is gated (%d): ask for access at %s/%s, then set HF_TOKEN", s.ref, code, s.Endpoint, s.ref.Repo)
		}
		return fmt.Errorf("%s is gated or not for this token (%d): ask for access at %s/%s", s.ref, code, s.Endpoint, s.ref.Repo)
	case code == http.StatusUnauthorized && s.Token == "":
		return fmt.Errorf("%s does not exist or is private (401): check the name, or set HF_TOKEN", s.ref)
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%s does not exist, or the token is not valid for it (401): check the name and HF_TOKEN", s.ref)
	case code == http.StatusNotFound && detail == "RevisionNotFound":
		return fmt.Errorf("%s has no revision %s (404)", s.ref.Repo, s.ref.Revision)
	case code == http.StatusNotFound:
		return fmt.Errorf("%s does not exist at %s (404): check the name", s.ref, s.Endpoint)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // absent: 0
		return &transient{fmt.Errorf("%s answers %s", resp.Request.URL.Host, resp.Status), time.Duration(after) * time.Second}
	}
	return fmt.Errorf("%s: %s answers %s", s.ref, resp.Request.URL.Host, resp.Status)
}

// networkError is a hub that cannot be reached.
type networkError struct {
	host string
	err  error
}

func (e *networkError) Error() string { return fmt.Sprintf("%s cannot be reached: %v", e.host, e.err) }
func (e *networkError) Unwrap() error { return e.err }

// unreachable says which hub cannot be reached, without the address that net/http puts
// before every error: it may hold a signature.
func unreachable(endpoint string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &networkError{endpoint, err}
}

// isUnreachable reports whether what is cached may do instead.
// An answer of the hub, even a refusal, is not this: what it refuses is not taken from the cache
// instead.
func isUnreachable(err error) bool {
	var n *networkError
	return errors.As(err, &n)
}

// transport gives up on a connection that says nothing for the time of a stall, and
// sooner on one that is not made.
func transport(stall time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() // with proxies from the environment
	t.ResponseHeaderTimeout = stall
	t.DialContext = (&net.Dialer{Timeout: min(stall, 20*time.Second)}).DialContext
	return t
}
