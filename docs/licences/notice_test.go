package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNotice holds docs/NOTICE against what is linked and what its licence files
// say.
func TestNotice(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: what is linked is listed for several systems")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("SKIPPED: there is no go command to list the linked modules with")
	}
	modules, err := linked("../..")
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(modules, func(m module) bool { return m.version == "" && len(m.files) == 0 }); i >= 0 {
		t.Skipf("SKIPPED: this copy of Go has no LICENSE in %s", modules[i].dir)
	}
	want, err := notice(modules)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	for i, l := range strings.Split(want, "\n") {
		if lines := strings.Split(string(got), "\n"); i >= len(lines) || lines[i] != l {
			t.Fatalf("docs/NOTICE, line %d should be %q: make notice", i+1, l)
		}
	}
	t.Fatal("docs/NOTICE is too long: make notice")
}

func TestLinked(t *testing.T) {
	const list = `
		{"Dir": "STD", "Standard": true}
		{"Dir": "ROOT/own", "Module": {"Path": "own", "Main": true, "Dir": "ROOT/own"}}
		{"Dir": "ROOT/m/a/b", "Module": {"Path": "x/m", "Version": "v1", "Dir": "ROOT/m"}}
		{"Dir": "ROOT/m", "Module": {"Path": "x/m", "Version": "v1", "Dir": "ROOT/m"}}`
	root := t.TempDir()
	for _, f := range []string{"own/LICENSE", "m/LICENSE.txt", "m/a/b/NOTICE", "m/a/license.go", "m/c/LICENSE", "LICENSE"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found := map[string]*module{}
	if err := add(found, []byte(strings.ReplaceAll(list, "ROOT", root))); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found["x/m"] == nil {
		t.Fatalf("%v", found)
	}
	files := found["x/m"].files
	slices.Sort(files)
	if got, want := slices.Compact(files), []string{root + "/m/LICENSE.txt", root + "/m/a/b/NOTICE"}; !slices.Equal(got, want) {
		t.Errorf("licences %v, not %v", got, want)
	}
}

func TestCopyrights(t *testing.T) {
	got := copyrights("MIT\n\nCopyright (c) 2015 A <a@b.c>\nCopyright [yyyy] [name of copyright owner]\n" +
		"  // Copyright 2009 The B Authors.\r\nCopyright (C) <year> <name>\nthe copyright notice above\nCopyright D Corp. 2013, 2026\n© C\n")
	if want := []string{"Copyright (c) 2015 A <a@b.c>", "Copyright 2009 The B Authors.", "Copyright D Corp. 2013, 2026"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestUnknownLicence(t *testing.T) {
	f := filepath.Join(t.TempDir(), "LICENSE")
	if err := os.WriteFile(f, []byte("Ask me.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := notice([]module{{path: "x/m", version: "v1", files: []string{f}}})
	if err == nil || !strings.Contains(err.Error(), "x/m v1: no known licence") {
		t.Errorf("%v", err)
	}
}
