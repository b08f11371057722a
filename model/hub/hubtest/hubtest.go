// Package hubtest serves a model's folder as the Hugging Face hub does, for the
// tests of what takes models by name.
package hubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Name is the model's name on the hub.
const Name = "org/tiny"

// Commit is the commit that the model is at, if it does not move.
var Commit = strings.Repeat("7", 40)

// Serve serves the files of a flat folder as Name, and lets this test and what it
// starts fetch it into a cache of their own. commit gives the commit of each call;
// nil: Commit. asked are the names of the files that were fetched, with spaces
// between them.
func Serve(t *testing.T, dir string, commit func() string) (asked func() string) {
	t.Helper()
	if commit == nil {
		commit = func() string { return Commit }
	}
	// Every file is listed as a large one, with its SHA-256; Git's hash of small ones is tested in
	// package hub.
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []map[string]any
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		files = append(files, map[string]any{"rfilename": e.Name(), "lfs": map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(b)}})
	}
	var mu sync.Mutex
	var names []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/"+Name+"/"):
			if err := json.NewEncoder(w).Encode(map[string]any{"sha": commit(), "siblings": files}); err != nil {
				t.Error(err)
			}
		case strings.HasPrefix(r.URL.Path, "/"+Name+"/resolve/"):
			name := filepath.Base(r.URL.Path)
			mu.Lock()
			names = append(names, name)
			mu.Unlock()
			http.ServeFile(w, r, filepath.Join(dir, name))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, n := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(n, "")
	}
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(names, " ")
	}
}
