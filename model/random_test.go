package model

import (
	"math"
	"testing"

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
