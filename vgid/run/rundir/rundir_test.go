package rundir

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/vgid/origin"
)

// Only what lies below the folder is inside it, however it is spelled.
func TestInside(t *testing.T) {
	top := t.TempDir()
	d := New(top, "r")
	for path, want := range map[string]string{
		d.Path("m"): "m", d.Path("m", "..", "n"): "n", top + "/r//a/b": "a/b",
		d.Path(): "", d.Path("..", "s"): "", top: "", d.Path() + "s/m": "", "m": "",
	} {
		if rel, ok := d.Inside(path); ok != (want != "") || ok && rel != want {
			t.Errorf("%s: %q, %t, want %q", path, rel, ok, want)
		}
	}
}

// One holds the lock, until it lets go.
func TestLock(t *testing.T) {
	top := t.TempDir()
	first, second := New(top, "r"), New(top, "r")
	for _, step := range []struct {
		d    *Dir
		want string
	}{{first, ""}, {second, "another run is at work in " + first.Path()}} {
		unlocked, err := step.d.Lock()
		if unlocked != nil {
			t.Skip("SKIPPED: no locks on this file system: ", unlocked)
		}
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Fatalf("%v, want %q", err, step.want)
		}
	}
	for range 2 {
		if err := first.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Lock(); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(top, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(top, "file").Lock(); err == nil {
		t.Error("a file is taken for a run's folder")
	}
}

// A record is read as it was written, tells what a stage made of a folder, and says
// where it lies when it cannot be read.
func TestRecords(t *testing.T) {
	d := New(t.TempDir(), "r")
	if _, err := d.ReadStage("gold"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no record: %v", err)
	}
	made := origin.List{{Name: "gold/model/a", SHA256: "1"}, {Name: "gold/adapter/b", SHA256: "2"}}
	if err := d.WriteStage(Stage{Name: "gold", Steps: 3, Settings: []string{"seed: 1"}, Outputs: made}); err != nil {
		t.Fatal(err)
	}
	s, err := d.ReadStage("gold")
	if err != nil || s.Steps != 3 || len(s.Outputs) != 2 || s.Inputs != nil {
		t.Errorf("%+v, %v", s, err)
	}
	want := map[string]string{"gold/model/a": "1", "gold/adapter/b": "2"}
	for _, folder := range []string{"gold", "gold/model", "gold/model/deeper"} {
		if got, err := d.Made(folder); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", folder, got, err)
		}
	}
	if got, err := d.Made("vanilla/model"); err != nil || len(got) != 0 {
		t.Errorf("nothing was made: %v, %v", got, err)
	}
	if err := os.WriteFile(d.Path("gold", RecordFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func() error{
		func() error { _, err := d.ReadStage("gold"); return err },
		func() error { _, err := d.Made("gold/model"); return err },
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), "its record "+d.Path("gold", RecordFile)+" cannot be read") {
			t.Errorf("a damaged record: %v", err)
		}
	}
}
