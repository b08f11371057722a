//go:build linux

package main

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

// hubOf serves a folder as org/tiny and gives the files that are asked for.
func hubOf(t *testing.T, dir string) (asked func() string) {
	t.Helper()
	var siblings []map[string]any
	for _, name := range files(t, dir) {
		b := read(t, dir, name)
		sum := sha256.Sum256(b)
		siblings = append(siblings, map[string]any{"rfilename": name, "lfs": map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(b)}})
	}
	var mu sync.Mutex
	var names []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/org/tiny/"):
			json.NewEncoder(w).Encode(map[string]any{"sha": strings.Repeat("7", 40), "siblings": siblings})
		case strings.HasPrefix(r.URL.Path, "/org/tiny/resolve/"):
			mu.Lock()
			names = append(names, filepath.Base(r.URL.Path))
			mu.Unlock()
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
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

// A model by its name does what its folder does; tokenizing fetches no weights.
func TestModelOfHub(t *testing.T) {
	asked := hubOf(t, world.Model)
	texts := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(texts, []byte("\"Who is the person? <image>\"\n\"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tokenize := func(model string) string {
		return must(t, program, "tokenize", "--in", texts, "--model", model)
	}
	want := tokenize(world.Model)
	if got := tokenize("org/tiny"); got != want || !strings.Contains(want, ",") {
		t.Errorf("ids %q of a model by its name, %q of its folder", got, want)
	}
	if a := asked(); strings.Contains(a, ".safetensors") || !strings.Contains(a, "tokenizer.json") {
		t.Errorf("tokenizing asked for %s", a)
	}
	if out := must(t, program, "inspect", "--model", "org/tiny"); !strings.Contains(out, "llava") {
		t.Errorf("inspect says\n%s", out)
	}
	if a := asked(); !strings.Contains(a, "model.safetensors") || strings.Count(a, "tokenizer.json") != 1 {
		t.Errorf("after all, %s was asked for", a)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if got := tokenize("org/tiny@main"); got != want {
		t.Errorf("ids %q offline, %q before", got, want)
	}
	if p := run(t, program, "tokenize", "--in", texts, "--model", "org/tiny@v2"); p.wait() != 1 || !strings.Contains(p.err.String(), "org/tiny@v2 is not in the cache") {
		t.Errorf("another revision: %s", p.err.String())
	}
}
