// Package hftest is what the tests of the folders below hf share.
package hftest

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// WantError checks for one line that contains want.
func WantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %q", err, want)
	}
}

// Golden reads a JSON file of testdata, compressed or not.
func Golden(t testing.TB, path string, v any) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := io.Reader(f)
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if err := json.NewDecoder(in).Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// LFSPointer is what a clone without git-lfs has in place of a file.
const LFSPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4976698672\n"

// FolderOf makes a folder of files, by their paths in it.
func FolderOf(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "m[0]") // a pattern's letters in the name
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		WriteFile(t, filepath.Join(dir, name), content)
	}
	return dir
}

// WriteFile writes a text with the folders that it lies in, and gives its path back.
func WriteFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
