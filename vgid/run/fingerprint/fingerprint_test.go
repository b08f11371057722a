package fingerprint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vgid/vgid/origin"
	"vgid/vgid/run/barrier/barriertest"
)

// file writes a file and gives it as a source.
func file(t *testing.T, text string, path ...string) origin.Source {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return origin.Source{For: "set a", Name: filepath.Base(name), Path: name}
}

func onRanks(t *testing.T, n int, f func(ctx context.Context, rank int, files *Files) error) []error {
	t.Helper()
	return barriertest.Run(t, n, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		return f(ctx, r.Rank(), New(r.Group, t.Logf))
	})
}

// Of ranks that see one file the lowest reads it, of those with a file each all do.
func TestOneRankReadsAFile(t *testing.T) {
	see := func(ids ...origin.ID) (out []seen) {
		for _, id := range ids {
			out = append(out, seen{ID: id})
		}
		return out
	}
	all := [][]seen{see("m a", "m b", ""), see("m a", "n b", ""), see("n a", "n b", "")}
	for rank, want := range [][]bool{{true, true, true}, {false, true, true}, {true, false, true}} {
		if got := first(all, rank); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("rank %d reads %v, want %v", rank, got, want)
		}
	}
	// Whoever reads, all know, and no file is read twice in a run.
	dir := t.TempDir()
	sources := []origin.Source{file(t, "one", dir, "one"), file(t, "two", dir, "two")}
	barriertest.All(t, onRanks(t, 3, func(ctx context.Context, rank int, files *Files) error {
		list, err := files.Agree(ctx, func() ([]origin.Source, error) { return sources, nil })
		if err != nil {
			return err
		}
		if len(list) != 2 || list[0].SHA256 != "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" {
			return fmt.Errorf("%v", list)
		}
		if len(files.known) != 2 {
			return fmt.Errorf("%d digests are kept of 2 files", len(files.known))
		}
		return nil
	}))
}

// Ranks with other files are refused, with the file and the rank; so is a file that
// was written to since it was read.
func TestAgree(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dirs [2]string, lists *[2][]origin.Source)
		want   string // nothing: they agree
	}{
		{"equal files on two disks", func(*testing.T, [2]string, *[2][]origin.Source) {}, ""},
		{"another content", func(t *testing.T, dirs [2]string, _ *[2][]origin.Source) { file(t, "TWO", dirs[1], "two") },
			"two: two (set a) differs from rank 0's on rank 1"},
		{"other sizes", func(t *testing.T, dirs [2]string, _ *[2][]origin.Source) {
			file(t, "longer", dirs[1], "one")
			file(t, "longer", dirs[1], "two")
		}, "one: one (set a) differs from rank 0's on rank 1 (and 1 more)"},
		{"a file more", func(t *testing.T, dirs [2]string, lists *[2][]origin.Source) {
			lists[1] = append(lists[1], file(t, "more", dirs[1], "more"))
		}, "more: more (set a) is there on rank 1 and not on rank 0"},
		{"a file less", func(t *testing.T, dirs [2]string, lists *[2][]origin.Source) { lists[1] = lists[1][:1] },
			"two: two (set a) is missing on rank 1"},
		{"written to since it was read", func(t *testing.T, dirs [2]string, lists *[2][]origin.Source) {
			_, id, err := origin.Stat(lists[1][1].Path)
			if err != nil {
				t.Fatal(err)
			}
			lists[1][1].ID = id
			file(t, "a new two", dirs[1], "two")
		}, "was written to while it was read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var dirs [2]string
			var lists [2][]origin.Source
			for r := range dirs {
				dirs[r] = t.TempDir()
				lists[r] = []origin.Source{file(t, "one", dirs[r], "one"), file(t, "two", dirs[r], "two")}
			}
			tc.change(t, dirs, &lists)
			for r, err := range onRanks(t, 2, func(ctx context.Context, rank int, files *Files) error {
				_, err := files.Agree(ctx, func() ([]origin.Source, error) { return lists[rank], nil })
				return err
			}) {
				switch {
				case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
					t.Errorf("rank %d: %v, want %s", r, err, tc.want)
				}
			}
		})
	}
}
