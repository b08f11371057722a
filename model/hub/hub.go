// Package hub finds the folder of a model that is named instead of pointed to:
// ORG/NAME or ORG/NAME@REVISION is fetched from a Hugging Face hub into the
// cache that other tools share, and what they have fetched is used.
//
// The environment is that of huggingface_hub: HF_ENDPOINT, HF_HOME,
// HF_HUB_CACHE, HF_TOKEN (or the token file), HF_HUB_OFFLINE.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Client fetches from one hub into one cache.
// FromEnv fills all of it; tests set shorter times.
// A Client does not change while it fetches, and several goroutines may use it.
type Client struct {
	Endpoint string    // of the hub, without a slash at the end
	Cache    string    // folder of the cache
	Token    string    // empty: none
	Offline  bool      // use only what the cache has
	Log      io.Writer // lines about what is fetched

	Retries int           // attempts in a row that get nothing new
	Wait    time.Duration // before the second attempt; doubles with each
	Stall   time.Duration // longest silence of a connection
}

// FromEnv is the client the environment describes.
func FromEnv(log io.Writer) (*Client, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := os.Getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	home := first("HF_HOME")
	if home == "" {
		base := first("XDG_CACHE_HOME")
		if base == "" {
			h, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("no place for fetched models: %w; set HF_HOME", err)
			}
			base = filepath.Join(h, ".cache")
		}
		home = filepath.Join(base, "huggingface")
	}
	c := &Client{
		Endpoint: strings.TrimRight(first("HF_ENDPOINT"), "/"),
		Cache:    first("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
		Token:    strings.TrimSpace(first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")),
		Log:      log, Retries: 5, Wait: time.Second, Stall: time.Minute,
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://huggingface.co"
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("HF_ENDPOINT %q is not an address like https://huggingface.co", c.Endpoint)
	}
	if c.Cache == "" {
		c.Cache = filepath.Join(home, "hub")
	}
	if c.Token == "" {
		file := first("HF_TOKEN_PATH")
		if file == "" {
			file = filepath.Join(home, "token")
		}
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("token file: %w", err)
		}
		c.Token = strings.TrimSpace(string(b))
	}
	switch v := first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"); strings.ToUpper(v) {
	case "", "0", "OFF", "NO", "FALSE":
	case "1", "ON", "YES", "TRUE":
		c.Offline = true
	default:
		return nil, fmt.Errorf("HF_HUB_OFFLINE is %q: set it to 1 or 0", v)
	}
	return c, nil
}

// Ref names a model on a hub.
type Ref struct {
	Repo     string // ORG/NAME
	Revision string // branch, tag or commit
}

// String is what ParseRef reads.
func (r Ref) String() string {
	if r.Revision == "main" {
		return r.Repo
	}
	return r.Repo + "@" + r.Revision
}

var (
	refPattern = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w][\w./-]*))?$`)
	isCommit   = regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString
)

// ParseRef reads ORG/NAME or ORG/NAME@REVISION; ok is false when s is neither.
// Two hyphens in a row are refused, because the cache's folders use them for the slash.
// .. is refused, since revisions become paths below refs.
func ParseRef(s string) (r Ref, ok bool) {
	m := refPattern.FindStringSubmatch(s)
	if m == nil || strings.Contains(s, "..") || strings.Contains(m[1], "--") {
		return Ref{}, false
	}
	r = Ref{m[1], m[2]}
	if r.Revision == "" {
		r.Revision = "main"
	}
	return r, true
}

// Part is what is needed of a model.
type Part int

// Everything that loading takes, or all of it but the weights.
const (
	Whole Part = iota
	Tokenizer
)

// Folder resolves what a user gives as a model: a folder that exists is taken
// as it is, whatever it is called; else ORG/NAME is fetched with the client the
// environment describes.
func Folder(ctx context.Context, given string, part Part, log io.Writer) (string, error) {
	if _, err := os.Stat(given); err == nil {
		return given, nil
	}
	ref, ok := ParseRef(given)
	if !ok {
		return "", fmt.Errorf("folder %s does not exist, and it is no name of a model on a hub (ORG/NAME or ORG/NAME@REVISION)", given)
	}
	c, err := FromEnv(log)
	if err != nil {
		return "", err
	}
	dir, err := c.Fetch(ctx, ref, part)
	if err != nil {
		return "", fmt.Errorf("model %s is not a folder here, and as a model on a hub: %w", given, err)
	}
	return dir, nil
}

var snapshotPath = regexp.MustCompile(`models--([^/]+)--([^/]+)/snapshots/[0-9a-f]{40}/?$`)

// Name is what a folder is called in files that others read: ORG/NAME where it
// lies in a hub's cache, else its path.
// Files that are shared should not tell of a cache on somebody's disk.
func Name(dir string) string {
	if m := snapshotPath.FindStringSubmatch(filepath.ToSlash(dir)); m != nil {
		return m[1] + "/" + m[2]
	}
	return dir
}

// Fetch gives the folder of a model, with all files that loading it, or a part,
// takes. Several processes may ask at once: each file is fetched by one of them.
// A hub that cannot be reached is no error where the cache has the revision whole.
func (c *Client) Fetch(ctx context.Context, ref Ref, part Part) (string, error) {
	repo := c.repo(ref.Repo)
	if c.Offline {
		dir, err := repo.cached(ref.Revision, part)
		if err != nil {
			return "", fmt.Errorf("%w; HF_HUB_OFFLINE is set, so nothing is fetched", err)
		}
		return dir, nil
	}
	s := &session{Client: c, ref: ref, repo: repo}
	s.http = &http.Client{CheckRedirect: s.redirect, Transport: transport(c.Stall)}
	defer s.http.CloseIdleConnections()
	list, err := s.list(ctx)
	if err != nil {
		if dir, cerr := repo.cached(ref.Revision, part); cerr == nil && isUnreachable(err) {
			s.logf("%s: %v; taking the copy in the cache, %s", ref, err, dir)
			return dir, nil
		}
		return "", err
	}
	return s.fetch(ctx, list, part)
}
