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
		w := got.weights[len(got.weights)/2]
		whole, part := make([]float32, w.Value.Len()), make([]float32, 5)
		w.drawn(whole, 0, 3)
		for at := 0; at+5 <= len(whole); at += 7 {
			if w.drawn(part, at, 3); [5]float32(part) != [5]float32(whole[at:]) {
				t.Fatalf("%s from element %d on: %v, want %v", w.Name, at, part, whole[at:at+5])
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
