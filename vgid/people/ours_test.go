package people

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder with files of somebody else stays as it is; one that a build wrote, or
// began to write, is written again.
func TestForeignFoldersAreNotWrittenInto(t *testing.T) {
	build := func(dir string) error {
		_, err := Build(t.Context(), BuildConfig{Out: dir, People: 4, Celebrities: 2, Views: 1, TestViews: 1, ImageSize: 16, ForgetPercents: []int{25}})
		return err
	}
	for name, files := range map[string]map[string]string{
		"a model":                  {"config.json": "{}", "model.safetensors": "x"},
		"a benchmark without ours": {"Full_Set/train-00000-of-00001.parquet": "x"},
		"a record of another kind": {"build.json": `{"tool": "make"}`, "Full_Set/train-00000-of-00001.parquet": "x"},
		"a record that is no JSON": {"build.json": "built", "notes.txt": "x"},
	} {
		dir := t.TempDir()
		for f, content := range files {
			path := filepath.Join(dir, f)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := build(dir); err == nil || !strings.Contains(err.Error(), "choose another folder") {
			t.Errorf("%s: %v", name, err)
		}
		for f, content := range files {
			if got, err := os.ReadFile(filepath.Join(dir, f)); err != nil || string(got) != content {
				t.Errorf("%s: %s holds %q, %v", name, f, got, err)
			}
		}
	}
	dir := t.TempDir()
	for range 2 {
		if err := build(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, begunFile)); err == nil {
		t.Error("a finished build is marked as begun")
	}
	// As an interrupted build leaves it.
	if err := os.Rename(filepath.Join(dir, BuildFile), filepath.Join(dir, begunFile)); err != nil {
		t.Fatal(err)
	}
	if err := build(dir); err != nil {
		t.Errorf("after an interruption: %v", err)
	}
}
