package safefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"vgid/model/kit/hftest"
	"vgid/model/kit/safefile"
)

// What is written into a folder stays in it, whatever links lead out.
func TestWriteInStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := safefile.WriteBytesIn(root, "a/b/c", []byte("x")); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(outside, "file")
	if err := os.WriteFile(secret, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"out": outside, "a/file": secret} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"out/new", "../new", "/new", "a/../../new"} {
		if err := safefile.WriteBytesIn(root, name, nil); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	// A link in the place of the file is replaced, not followed.
	if err := safefile.WriteBytesIn(root, "a/file", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{secret: "theirs", filepath.Join(dir, "a/file"): "ours", filepath.Join(dir, "a/b/c"): "x"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside there is %v, %v", left, err)
	}
}

// A file that could not be written is as it was, and nothing is left beside it.
func TestWriteInLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := safefile.WriteBytesIn(root, "f", []byte("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the sender is gone")
	err = safefile.WriteIn(root, "f", func(w io.Writer) error {
		if _, err := w.Write([]byte("ne")); err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 || !safefile.IsPart(entries[0].Name()) || safefile.IsPart(entries[1].Name()) {
			t.Errorf("while it is written there is %v, %v", entries, err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(got) != "old" {
		t.Errorf("it holds %q, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	hftest.WantError(t, safefile.WriteBytesIn(root, "d", nil), "d: ")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v is left, %v", entries, err)
	}
}
