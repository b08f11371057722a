package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/vgid/train"
)

// beside names the files of a folder.
func beside(path string) func(string) string {
	return func(name string) string { return filepath.Join(filepath.Dir(path), name) }
}

// A run that goes on keeps the steps up to its checkpoint, and at no time is the
// file without them: the old one is never written to.
func TestHistoryIsReplacedAsAWhole(t *testing.T) {
	line := func(step int) string {
		return fmt.Sprintf(`{"step":%d,"loss":{"forget":0.5},"grad_norm":1,"lr":0.001}`+"\n", step)
	}
	path := filepath.Join(t.TempDir(), "unlearned", "history.jsonl")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	old := line(1) + line(2) + line(3) + line(4)[:9] // cut off by a crash
	if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	if err := os.Link(path, seen); err != nil {
		t.Skip("SKIPPED: no second name for a file here: ", err)
	}
	h, err := openHistory(true, beside(path), 2)
	if err != nil {
		t.Fatal(err)
	}
	for step := 3; step <= 4; step++ {
		if err := h.add(train.StepResult{Step: step, Loss: map[string]float64{"forget": 0.5}, GradNorm: 1, LR: 0.001}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(seen); err != nil || string(got) != old {
		t.Errorf("the old file was written to: %q, %v", got, err)
	}
	want := line(1) + line(2) + line(3) + line(4)
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the history is\n%s, %v, want\n%s", got, err, want)
	}
	if h, err = openHistory(true, beside(path), 0); err != nil { // from the beginning
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || len(got) != 0 {
		t.Errorf("a new history holds %q, %v", got, err)
	}
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || strings.Join(names, " ") != path+" "+beside(path)(timingFile) {
		t.Errorf("left behind: %q, %v", names, err)
	}
}
