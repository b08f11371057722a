package fileid

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestWrittenToIsAnother(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system's IDs are not known here")
	}
	path := filepath.Join(t.TempDir(), "a")
	id := func() string {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return Of(info)
	}
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	first := id()
	if first == "" || id() != first {
		t.Fatalf("IDs %q and %q of one file", first, id())
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// The clock of file systems ticks every few milliseconds.
	for now := first; now == first; now = id() {
		time.Sleep(time.Millisecond)
		if err := os.WriteFile(path, []byte("two"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil { // as a program that copies does
			t.Fatal(err)
		}
	}
}
