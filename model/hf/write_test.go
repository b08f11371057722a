package hf

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"vgid/model/kit/hftest"
)

// A streamed file is the file that is written from memory, whatever the pieces.
func TestStreamsWriteTheSameFile(t *testing.T) {
	shape := []int{5, 300, 1000} // two rows make a piece of streamElements
	data := make([]float32, 5*300*1000)
	for i := range data {
		data[i] = float32(i%4099) / 7
	}
	calls := 0
	rows := func(dst []float32, from int) error {
		calls++
		copy(dst, data[from*300*1000:])
		return nil
	}
	dir := t.TempDir()
	whole, pieces, raw := filepath.Join(dir, "whole"), filepath.Join(dir, "pieces"), filepath.Join(dir, "raw")
	meta := map[string]string{"format": "pt"}
	if err := WriteSafetensors(whole, []NamedTensor{{"x", shape, "BF16", data}, {"s", nil, "F32", data[:1]}}, meta); err != nil {
		t.Fatal(err)
	}
	one := func(dst []float32, _ int) error { dst[0] = data[0]; return nil }
	if err := WriteStreams(pieces, []Stream{
		{Name: "x", TensorInfo: TensorInfo{"BF16", shape}, Rows: rows}, {Name: "s", TensorInfo: TensorInfo{"F32", nil}, Rows: one},
		{Name: "none", TensorInfo: TensorInfo{"F32", []int{0, 3}}, Rows: rows},
	}, meta); err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("made in %d pieces, want 2", calls)
	}
	w, err := OpenFile(pieces)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var list []Stream
	for _, n := range w.Names() {
		info, _ := w.Info(n)
		list = append(list, Stream{Name: n, TensorInfo: info, Raw: func() ([]byte, error) { return w.Raw(n) }})
	}
	if err := WriteStreams(raw, list, meta); err != nil {
		t.Fatal(err)
	}
	if a, b := read(t, pieces), read(t, raw); !reflect.DeepEqual(a, b) {
		t.Error("the copy of the stored bytes is another file")
	}
	x, err := OpenFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, n := range x.Names() {
		a, _ := x.Raw(n)
		b, _ := w.Raw(n)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("tensor %s differs", n)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A source that fails leaves no file behind, not even a temporary one.
func TestFailingStreamLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	bad := errors.New("device lost")
	for _, s := range []Stream{
		{Name: "x", TensorInfo: TensorInfo{"F32", []int{2}}, Rows: func([]float32, int) error { return bad }},
		{Name: "x", TensorInfo: TensorInfo{"I64", []int{2}}, Raw: func() ([]byte, error) { return nil, bad }},
		{Name: "x", TensorInfo: TensorInfo{"I64", []int{2}}, Raw: func() ([]byte, error) { return make([]byte, 15), nil }},
	} {
		err := WriteShards(dir, []Shard{{"model.safetensors", []Stream{s}}})
		if s.DType == "I64" && err != nil && !errors.Is(err, bad) {
			hftest.WantError(t, err, `tensor "x": I64 [2] needs 16 bytes, the source gives 15`)
		} else if !errors.Is(err, bad) {
			t.Errorf("error %v", err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A folder's further chat templates go where its other assets go.
func TestCopyAssetsTakesTemplates(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{TemplateFolder + "/default.jinja", TemplateFolder + "/notes.txt", "other/x.jinja", "chat_template.jinja"} {
		path := filepath.Join(from, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := CopyAssets(to, from); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{TemplateFolder + "/default.jinja": true, TemplateFolder + "/notes.txt": false, "other": false, "chat_template.jinja": true} {
		if _, err := os.Stat(filepath.Join(to, filepath.FromSlash(name))); (err == nil) != want {
			t.Errorf("%s copied: %v, want %v", name, err == nil, want)
		}
	}
}
