package transfer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier/barriertest"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/rundir"
)

// apart are the run folders of ranks: those of the same number in disks see the same.
func apart(t *testing.T, disks ...int) []string {
	t.Helper()
	out, top := make([]string, len(disks)), t.TempDir()
	for r, d := range disks {
		out[r] = filepath.Join(top, fmt.Sprint("disk", d), "r")
	}
	return out
}

// onDisks runs f on ranks with run folders of their own.
func onDisks(t *testing.T, dirs []string, f func(ctx context.Context, x *Transfer) error) []error {
	t.Helper()
	return barriertest.Run(t, len(dirs), 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		quiet := func(string, ...any) {}
		dir := rundir.New(filepath.Split(dirs[r.Rank()]))
		files := fingerprint.New(r.Group, quiet)
		return f(ctx, New(r.Group, dir, files, NewDisks(r.Group, dir, "", config.Plain), quiet))
	})
}

// share brings a folder of rank 0 to all.
func share(t *testing.T, dirs []string, dir string) []error {
	t.Helper()
	return onDisks(t, dirs, func(ctx context.Context, x *Transfer) error { return x.Share(ctx, x.dir.Path(dir)) })
}

// contents are the files below a folder, temporary and hidden ones included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func containsLine(s, want string) bool {
	return strings.Contains(s, want) && !strings.Contains(s, "\n")
}

// What comes is what rank 0 has, chunk by chunk, whatever was there of earlier runs.
func TestShare(t *testing.T) {
	own := apart(t, 0, 1, 2, 1)
	folder := func(r int) string { return own[r] }
	large := bytes.Repeat([]byte("0123456789abcdef"), (sharePiece+shareChunk)/16)
	write := func(r int, name string, b []byte) {
		t.Helper()
		path := filepath.Join(folder(r), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	share := func(dir string) []error {
		t.Helper()
		return share(t, own, dir)
	}
	same := func(step string, disks ...int) {
		t.Helper()
		want := contents(t, filepath.Join(folder(0), "m"))
		for _, r := range disks {
			got := contents(t, filepath.Join(folder(r), "m"))
			delete(got, ".mine")
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s: rank %d has %d bytes of %s, rank 0 %d", step, r, len(got[name]), name, len(want[name]))
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: rank %d has %d files, rank 0 %d", step, r, len(got), len(want))
			}
		}
	}
	write(0, "m/large", append(large, "the end"...))
	write(0, "m/empty", nil)
	write(0, "m/sub/small", []byte("small"))
	write(0, "other/file", []byte("not asked for"))
	write(2, "m/.mine", []byte("hidden"))
	write(0, "m/equal", []byte("equal"))
	write(2, "m/equal", []byte("equal")) // whoever wrote it
	barriertest.All(t, share("m"))
	same("first", 1, 2)
	if _, err := os.Stat(filepath.Join(folder(1), "other")); err == nil {
		t.Error("another folder came, too")
	}
	before, err := os.Stat(filepath.Join(folder(1), "m/large"))
	if err != nil {
		t.Fatal(err)
	}

	// The next run of that name has other files.
	write(0, "m/sub/small", []byte("SMALL"))
	write(0, "m/new", []byte("new"))
	if err := os.Remove(filepath.Join(folder(0), "m/empty")); err != nil {
		t.Fatal(err)
	}
	write(1, "m/.new.part-ABC", []byte("cut off by a crash"))
	barriertest.All(t, share("m"))
	same("second", 1, 2)
	if after, err := os.Stat(filepath.Join(folder(1), "m/large")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the large file was sent again (%v)", err)
	}

	// Folders outside the run's, and those that rank 0 does not have, are not sent.
	barriertest.All(t, share("../elsewhere"))
	barriertest.All(t, share("."))
	barriertest.All(t, share("nothing"))

	// What nobody is known to have made stays.
	for _, tc := range []struct{ name, content, want string }{
		{"m/new", "mine", "m/new is not what rank 0 has there"},
		{"m/extra", "mine", "m/extra is not what rank 0 has there"},
	} {
		write(2, tc.name, []byte(tc.content))
		for r, err := range share("m") {
			if err == nil || !containsLine(err.Error(), tc.want) {
				t.Errorf("rank %d: %v, want %s", r, err, tc.want)
			}
		}
		if b, err := os.ReadFile(filepath.Join(folder(2), tc.name)); err != nil || string(b) != tc.content {
			t.Errorf("%s holds %q, %v", tc.name, b, err)
		}
		if err := os.Remove(filepath.Join(folder(2), tc.name)); err != nil {
			t.Fatal(err)
		}
	}
	barriertest.All(t, share("m"))
	same("last", 1, 2)
}

// Nothing is written outside of the run's folder, wherever links in it lead.
func TestShareStaysInTheRunFolder(t *testing.T) {
	for _, link := range []string{"m", "m/sub", "m/sub/file"} {
		own := apart(t, 0, 1)
		outside := t.TempDir()
		if err := os.WriteFile(filepath.Join(outside, "file"), []byte("theirs"), 0o644); err != nil {
			t.Fatal(err)
		}
		from := filepath.Join(own[0], "m/sub")
		if err := os.MkdirAll(from, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, "file"), []byte("ours"), 0o644); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(own[1], link)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		to := outside
		if link == "m/sub/file" {
			to = filepath.Join(outside, "file")
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
		for r, err := range share(t, own, "m") {
			if err == nil {
				t.Errorf("%s is a link: rank %d does not mind", link, r)
			}
		}
		if got := contents(t, outside); len(got) != 1 || got["file"] != "theirs" {
			t.Errorf("%s is a link: outside there is %v", link, got)
		}
	}
}

// Where one rank cannot read or write, all end with its reason, and nothing is left
// half.
func TestShareEndsTogether(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, dirs [2]string)
		want  string
	}{
		{"a folder in the place of a file", func(t *testing.T, dirs [2]string) {
			if err := os.MkdirAll(filepath.Join(dirs[1], "m/file"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "m/file"},
		{"a damaged list of what came", func(t *testing.T, dirs [2]string) {
			if err := os.WriteFile(filepath.Join(dirs[1], ReceivedFile), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ReceivedFile + ": unexpected end"},
		{"a name that is not sent", func(t *testing.T, dirs [2]string) {
			if err := os.WriteFile(filepath.Join(dirs[0], `m/a\b`), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "no plain path"},
		{"a link that leads nowhere", func(t *testing.T, dirs [2]string) {
			if err := os.Symlink("gone", filepath.Join(dirs[0], "m/link")); err != nil {
				t.Fatal(err)
			}
		}, "m/link"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			own := apart(t, 0, 1)
			var dirs [2]string
			for r := range dirs {
				dirs[r] = own[r]
				if err := os.MkdirAll(dirs[r], 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dirs[0], "m"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dirs[0], "m/file"), []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, dirs)
			for r, err := range share(t, own, "m") {
				if err == nil || !containsLine(err.Error(), tc.want) {
					t.Errorf("rank %d: %v, want %s", r, err, tc.want)
				}
			}
			for name := range contents(t, dirs[1]) {
				if name != ReceivedFile {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// A file that changes while it is sent is not kept.
func TestShareOfAFileThatChanges(t *testing.T) {
	own := apart(t, 0, 1)
	file := filepath.Join(own[0], "m/file")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, now := range []string{"after!", "cut"} {
		for r, err := range onDisks(t, own, func(ctx context.Context, x *Transfer) error {
			if x.ranks.Rank() == 0 { // it was read before, and is written to unseen
				if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
					return err
				}
				_, id, err := origin.Stat(file)
				if err != nil {
					return err
				}
				x.files.Learn(id, strings.Repeat("0", 64))
			}
			return x.Share(ctx, x.dir.Path("m"))
		}) {
			if err == nil || !containsLine(err.Error(), "was written to while it was sent") {
				t.Errorf("%s: rank %d: %v", now, r, err)
			}
		}
		if got := contents(t, own[1]); len(got) > 1 {
			t.Errorf("%s: %v is left", now, got)
		}
	}
}
