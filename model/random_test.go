package model

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
)

func TestRandomIsNew(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	want, err := New(be, tinyConfig(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	got, err := Random(be, tinyConfig(), 3, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for i, p := range got.Params() {
		a, b := make([]float32, p.Value.Len()), make([]float32, p.Value.Len())
		if err := be.Download(a, p.Value); err != nil {
			t.Fatal(err)
		}
		if err := be.Download(b, want.Params()[i].Value); err != nil {
			t.Fatal(err)
		}
		for j := range a {
			if !(math.Abs(float64(a[j]-b[j])) <= 1e-5) {
				t.Fatalf("%s: value %d is %g, want %g", p.Name, j, a[j], b[j])
			}
		}
	}
}

// A random folder is New's model, whatever the shards and the pieces in which
// its tensors are made.
func TestWriteRandomIsNew(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	qwen, err := ReadConfig("testdata/golden/qwen25_mha")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Config{tinyConfig(), qwen} {
		dir := t.TempDir()
		if err := WriteRandom(t.Context(), dir, c, 3, SaveOptions{MaxShardBytes: 5000}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "model.safetensors.index.json")); err != nil {
			t.Errorf("%s: not sharded: %v", c.Type, err)
		}
		got := load(t, be, dir, LoadOptions{})
		want, err := New(be, c, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		for i, p := range got.Params() {
			if q := want.Params()[i]; p.Name != q.Name || !slicesEqual(t, be, p.Value, q.Value) {
				t.Fatalf("%s: %s is not New's %s", c.Type, p.Name, q.Name)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteRandom(ctx, t.TempDir(), tinyConfig(), 3, SaveOptions{}); err == nil {
		t.Error("a folder was written after the context had ended")
	}
}

func slicesEqual(t *testing.T, be backend.Backend, x, y backend.Tensor) bool {
	t.Helper()
	a, b := make([]float32, x.Len()), make([]float32, y.Len())
	if err := be.Download(a, x); err != nil {
		t.Fatal(err)
	}
	if err := be.Download(b, y); err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}
