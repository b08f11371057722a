package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var writeGolden = flag.Bool("golden", false, "write testdata/library.json, with VGID_PYTHON")

// libraryFiles are those of a small model that has what nobody here needs, too.
func libraryFiles() map[string][]byte {
	m := model()
	delete(m, "../../../../../escape.json") // which the library refuses
	for n, b := range m {                   // short, and each its own blob
		switch {
		case isLarge(n):
			m[n] = []byte("the weights " + n)
		case string(b) == "{}":
			m[n] = fmt.Appendf(nil, "{%q: 0}", n)
		}
	}
	return m
}

// asLibraryAsks answers what huggingface_hub asks beyond this package.
func (h *fakeHub) asLibraryAsks(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/models/org/tiny/tree/") {
		var tree []map[string]any
		for _, s := range h.siblings() {
			f := map[string]any{"type": "file", "path": s["rfilename"], "size": s["size"], "oid": s["blobId"]}
			if lfs, ok := s["lfs"].(map[string]any); ok {
				f["lfs"] = map[string]any{"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 130}
			}
			tree = append(tree, f)
		}
		slices.SortFunc(tree, func(a, b map[string]any) int { return strings.Compare(a["path"].(string), b["path"].(string)) })
		json.NewEncoder(w).Encode(tree)
		return true
	}
	for _, s := range h.siblings() {
		name := s["rfilename"].(string)
		if r.URL.Path != "/org/tiny/resolve/"+commit+"/"+name && r.URL.Path != "/org/tiny/resolve/main/"+name {
			continue
		}
		w.Header().Set("X-Repo-Commit", commit)
		etag := s["blobId"]
		if lfs, ok := s["lfs"].(map[string]any); ok {
			etag = lfs["sha256"]
			w.Header().Set("X-Linked-Etag", fmt.Sprintf("%q", etag))
			w.Header().Set("X-Linked-Size", fmt.Sprint(lfs["size"]))
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", etag))
		if r.Method == http.MethodHead && !isLarge(name) {
			w.Header().Set("Content-Length", fmt.Sprint(s["size"]))
			return true
		}
		r.URL.Path = "/org/tiny/resolve/" + commit + "/" + name
		return false // the redirect, or the contents
	}
	return false
}

// needLibrary skips a test without a python that has huggingface_hub.
func needLibrary(t *testing.T) {
	t.Helper()
	if os.Getenv("VGID_PYTHON") == "" {
		t.Skip("VGID_PYTHON names no python with huggingface_hub: the cache is not tried with it")
	}
}

// library runs huggingface_hub on a cache and gives the folder it prints.
func library(t *testing.T, h *fakeHub, cache, offline string, args ...string) string {
	t.Helper()
	needLibrary(t)
	dir, err := runLibrary(t, h, cache, offline, args...)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func runLibrary(t *testing.T, h *fakeHub, cache, offline string, args ...string) (string, error) {
	cmd := exec.Command(os.Getenv("VGID_PYTHON"), append([]string{"testdata/library.py"}, args...)...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+h.hub.URL, "HF_HUB_CACHE="+cache, "HF_HOME="+t.TempDir(), "HF_HUB_OFFLINE="+offline,
		"HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("huggingface_hub: %w\n%s", err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// contents lists a cache: what links lead to, what files hold.
func contents(t *testing.T, cache string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(cache, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		name, err := filepath.Rel(cache, path)
		if err != nil {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			all[name], err = os.Readlink(path)
			all[name] = "-> " + all[name]
			return err
		}
		b, err := os.ReadFile(path)
		all[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A cache that huggingface_hub has written (testdata/library.json; with
// VGID_PYTHON it is written again, and with -golden stored) is used as it is.
func TestLibraryWrites(t *testing.T) {
	h := newHub(t, libraryFiles())
	h.api = h.asLibraryAsks
	c, _ := h.client(t)
	golden := map[string]string{}
	if *writeGolden {
		library(t, h, c.Cache, "0", "fetch")
		b, err := json.MarshalIndent(contents(t, c.Cache), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/library.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/library.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Cache = t.TempDir()
	for name, what := range golden {
		path := filepath.Join(c.Cache, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		to, link := strings.CutPrefix(what, "-> ")
		if link {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(what), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Offline = true
	before := h.downloads.Load()
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range needed {
		if got, err := os.ReadFile(filepath.Join(dir, n)); err != nil || !bytes.Equal(got, h.files[n]) {
			t.Errorf("%s: %q (%v)", n, got, err)
		}
	}
	c.Offline = false
	if again, err := c.Fetch(context.Background(), tiny, Whole); err != nil || again != dir || h.downloads.Load() != before {
		t.Errorf("online: %s, %d downloads (%v)", again, h.downloads.Load()-before, err)
	}
	if now := contents(t, c.Cache); !maps.Equal(now, golden) {
		t.Errorf("a fetch that had all changed the cache: %v", now)
	}

	t.Run("today", func(t *testing.T) {
		fresh := t.TempDir()
		library(t, h, fresh, "0", "fetch")
		if got := contents(t, fresh); !maps.Equal(got, golden) {
			t.Errorf("today's library writes %v, testdata/library.json has %v", got, golden)
		}
	})
}

// What this package has written, huggingface_hub takes without a network, and
// completes with one.
func TestLibraryReads(t *testing.T) {
	h := newHub(t, libraryFiles())
	h.api = h.asLibraryAsks
	c, _ := h.client(t)
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	if got := library(t, h, c.Cache, "1", append([]string{"offline"}, needed...)...); got != dir {
		t.Errorf("the library finds %s, we %s", got, dir)
	}
	before := h.downloads.Load()
	if got := library(t, h, c.Cache, "0", "fetch"); got != dir {
		t.Errorf("the library finds %s, we %s", got, dir)
	}
	if n, want := h.downloads.Load()-before, len(h.files)-len(needed); n != int32(want) {
		t.Errorf("the library made %d downloads, %d files were missing", n, want)
	}
	// And ours on top of what it has fetched in part.
	c.Cache = t.TempDir()
	dir = library(t, h, c.Cache, "0", "fetch", "config.json", "model-1.safetensors")
	c.Offline = true
	_, err = c.Fetch(context.Background(), tiny, Whole)
	wantError(t, err, "is incomplete")
	c.Offline = false
	before = h.downloads.Load()
	if got, err := c.Fetch(context.Background(), tiny, Whole); err != nil || got != dir {
		t.Errorf("folder %s, want %s (%v)", got, dir, err)
	}
	same(t, dir, h.files, needed...)
	if n := h.downloads.Load() - before; n != int32(len(needed)-2) {
		t.Errorf("%d downloads of the %d files that were missing", n, len(needed)-2)
	}
}

// Both at once: each file is fetched by one of them.
func TestLibraryTogether(t *testing.T) {
	needLibrary(t)
	h := newHub(t, libraryFiles())
	c, log := h.client(t)
	h.api = h.asLibraryAsks
	begun := make(chan struct{}, 100)
	h.large = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			begun <- struct{}{}
			time.Sleep(time.Second)
		}
		return false
	}
	var theirs string
	var theirErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		theirs, theirErr = runLibrary(t, h, c.Cache, "0", "fetch", "model-1.safetensors")
	}()
	select {
	case <-begun: // the library fetches
	case <-ended:
		t.Fatalf("the library ended before it fetched: %v", theirErr)
	}
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if <-ended; err != nil || theirErr != nil || theirs != dir {
		t.Fatalf("the library finds %s (%v), we %s (%v)", theirs, theirErr, dir, err)
	}
	same(t, dir, h.files, needed...)
	if n := h.downloads.Load(); n != int32(len(needed)) || !strings.Contains(log.String(), "waiting for another process that fetches model-1.safetensors") {
		t.Errorf("%d downloads of %d files, log %q", n, len(needed), log)
	}
}
