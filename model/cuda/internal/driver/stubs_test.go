package driver

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The generated files are what the generator makes of symbols.txt now.
func TestStubsAreCurrent(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("NOT TESTED: the go command is not on PATH")
	}
	dir := t.TempDir()
	for _, f := range []string{"genstubs.go", "symbols.txt"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", "genstubs.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range []string{"stubs_amd64.S", "stubs_arm64.S", "slots.c", "slots.h"} {
		want, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what genstubs.go makes of symbols.txt: run go generate ./model/cuda/internal/driver (%v)", f, err)
		}
	}
}
