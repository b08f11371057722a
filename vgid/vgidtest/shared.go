package vgidtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"vgid/vgid/config"
)

// shared are the worlds of a test process, a folder for each family.
var shared struct {
	sync.Mutex
	dir    string
	worlds map[string]World
}

// Main runs the tests of a package and removes what Shared made for them. A package
// that uses Shared calls it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// Shared is the world of a family, the same for all tests of a process: they read it,
// and write elsewhere.
// It lives until Main removes it; a test that changes its files would change those of the
// tests after it.
func Shared(t testing.TB, family string) World {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if w, ok := shared.worlds[family]; ok {
		return w
	}
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "vgid-test-")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir, shared.worlds = dir, map[string]World{}
	}
	w, err := MakeFamily(filepath.Join(shared.dir, family), family)
	if err != nil {
		t.Fatal(err)
	}
	shared.worlds[family] = w
	return w
}

// Small is the configuration of a run in the shared world, as Settings has it, that
// writes to a folder of the test.
func Small(t testing.TB, over map[string]string) config.Config {
	t.Helper()
	set := Shared(t, "llava").Settings(over)
	set["out"] = t.TempDir()
	c, err := config.Load("", set)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
