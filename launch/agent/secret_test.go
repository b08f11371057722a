//go:build unix

package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if b, err := ReadSecret(write("good", "  0123456789abcdef\n", 0o400)); err != nil || string(b) != "0123456789abcdef" {
		t.Errorf("%q, %v", b, err)
	}
	for want, p := range map[string]string{
		"others can read or write it (mode 0640)": write("group", "0123456789abcdef", 0o640),
		"secret of 5 bytes is too short":          write("short", " short \n", 0o600),
		"secret of 0 bytes is too short":          write("empty", "", 0o600),
		"not a regular file":                      dir,
		"no such file":                            filepath.Join(dir, "none"),
		"too long for a secret":                   write("long", strings.Repeat("x", 1<<17), 0o600),
	} {
		if b, err := ReadSecret(p); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
}

// Launches that start together agree on the secret they make.
func TestUserSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vgid")
	var got [8][]byte
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			b, err := UserSecret(dir)
			if err != nil {
				t.Error(err)
			}
			got[i] = b
		})
	}
	wg.Wait()
	for _, b := range got {
		if len(b) < leastSecret || !bytes.Equal(b, got[0]) {
			t.Errorf("%q and %q", b, got[0])
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "launch.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(filepath.Join(dir, "launch.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := UserSecret(dir); err == nil {
		t.Error("took a secret that others can read")
	}
}
