package hf

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

// stFile makes a file of the given header and data bytes.
func stFile(head string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(b, head...), make([]byte, data)...)
}

func TestSafetensorsRefusals(t *testing.T) {
	good := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "8-byte header length, found 0"},
		{"short header", stFile(good, 8)[:20], "header needs 54 bytes, found 12"},
		{"huge header", append([]byte{255, 255, 255, 255, 255, 255, 255, 255}, 'x'), "not a safetensors file"},
		{"truncated", stFile(good, 5), `tensor "a" needs data bytes 0 to 8, the file has 5`},
		{"left over", stFile(good, 9), "take 8 data bytes, the file has 9"},
		{"not json", stFile(`hello`, 0), "not a JSON object"},
		{"after json", stFile(`{}{}`, 0), "text after the JSON object"},
		{"open json", stFile(`{`, 0), "not closed"},
		{"twice", stFile(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `"a": name appears twice`},
		{"dtype", stFile(`{"a":{"dtype":"F3","shape":[1],"data_offsets":[0,1]}}`, 1), `unknown dtype "F3"`},
		{"size", stFile(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "needs 12 bytes, data_offsets give 8"},
		{"hole", stFile(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "starts at data byte 1, expected 0"},
		{"overlap", stFile(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "starts at data byte 1, expected 2"},
		{"order", stFile(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[2,1]}}`, 2), "out of order"},
		{"overflow", stFile(`{"a":{"dtype":"F64","shape":[2147483647,2147483647,4],"data_offsets":[0,0]}}`, 0), "too large"},
		{"negative", stFile(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1), `tensor "a"`},
		{"half a byte", stFile(`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1), `"a": F4 [3] takes 12 bits, which leaves a part of a byte`},
		{"a part of a byte", stFile(`{"a":{"dtype":"F6_E2M3","shape":[5],"data_offsets":[0,4]}}`, 4), "takes 30 bits"},
		{"size in bits", stFile(`{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,4]}}`, 4), "needs 3 bytes, data_offsets give 4"},
		{"missing", stFile(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "needs dtype, shape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.safetensors")
			if err := os.WriteFile(path, c.file, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := OpenSafetensors(path)
			hftest.WantError(t, err, c.want)
			hftest.WantError(t, err, path)
		})
	}
}

// Every dtype of the format opens, beside tensors that are of use; one that is
// needed as numbers is refused by its own name, not as damage of the file.
func TestEveryDTypeOpens(t *testing.T) {
	for _, c := range []struct {
		dtype    string
		elements int
		bytes    int // of so many elements
		read     bool
	}{
		{"BOOL", 3, 3, true}, {"F4", 6, 3, false}, {"F6_E2M3", 4, 3, false}, {"F6_E3M2", 8, 6, false}, {"U8", 3, 3, true}, {"I8", 3, 3, false},
		{"F8_E5M2", 3, 3, false}, {"F8_E4M3", 3, 3, false}, {"F8_E8M0", 3, 3, false}, {"F8_E4M3FNUZ", 3, 3, false}, {"F8_E5M2FNUZ", 3, 3, false},
		{"I16", 3, 6, false}, {"U16", 3, 6, false}, {"F16", 3, 6, true}, {"BF16", 3, 6, true}, {"I32", 3, 12, true}, {"U32", 3, 12, false},
		{"F32", 3, 12, true}, {"C64", 3, 24, false}, {"F64", 3, 24, true}, {"I64", 3, 24, true}, {"U64", 3, 24, false},
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		head := fmt.Sprintf(`{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":%q,"shape":[%d],"data_offsets":[8,%d]}}`, c.dtype, c.elements, 8+c.bytes)
		if err := os.WriteFile(path, stFile(head, 8+c.bytes), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := OpenSafetensors(path)
		if err != nil {
			t.Errorf("%s: %v", c.dtype, err)
			continue
		}
		raw, err := f.Raw("x")
		if info, _ := f.Info("x"); err != nil || len(raw) != c.bytes || info.Bytes() != int64(c.bytes) {
			t.Errorf("%s: %d bytes, %d said, want %d; %v", c.dtype, len(raw), info.Bytes(), c.bytes, err)
		}
		if err := f.ReadF32("t", make([]float32, 2)); err != nil {
			t.Errorf("%s beside float32: %v", c.dtype, err)
		}
		for _, err := range []error{f.ReadF32("x", make([]float32, c.elements)), f.ReadRows("x", make([]float32, 1), 1)} {
			if c.read != (err == nil) {
				t.Errorf("%s read as float32: %v", c.dtype, err)
			}
			if err != nil {
				hftest.WantError(t, err, `tensor "x": dtype `+c.dtype+" cannot be read as float32")
			}
		}
		// It is copied as it is.
		copied := Stream{Name: "x", TensorInfo: TensorInfo{DType: c.dtype, Shape: []int{c.elements}}, Raw: func() ([]byte, error) { return raw, nil }}
		again := filepath.Join(t.TempDir(), "y.safetensors")
		if err := WriteStreams(again, []Stream{copied}, nil); err != nil {
			t.Errorf("%s copied: %v", c.dtype, err)
		}
		if g, err := OpenSafetensors(again); err != nil {
			t.Errorf("%s copied: %v", c.dtype, err)
		} else {
			g.Close()
		}
		f.Close()
	}
}

func testTensors() []NamedTensor {
	ramp := func(n int) []float32 {
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(i)/8 - 3
		}
		return d
	}
	return []NamedTensor{
		{"b.half", []int{5}, "F16", ramp(5)}, {"a.weight", []int{3, 4}, "F32", ramp(12)},
		{"scalar", nil, "F32", ramp(1)}, {"empty", []int{0, 7}, "F32", nil}, {"c.bf", []int{2, 3}, "BF16", ramp(6)},
	}
}

func checkWeights(t *testing.T, dir string) {
	t.Helper()
	w, err := OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if want := []string{"a.weight", "b.half", "c.bf", "empty", "scalar"}; !slices.Equal(w.Names(), want) {
		t.Fatalf("names %v", w.Names())
	}
	var wg sync.WaitGroup
	for _, want := range testTensors() {
		wg.Go(func() {
			info, ok := w.Info(want.Name)
			if !ok || info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
				t.Errorf("%s: info %+v %v", want.Name, info, ok)
			}
			got := make([]float32, len(want.Data))
			if err := w.ReadF32(want.Name, got); err != nil || !slices.Equal(got, want.Data) {
				t.Errorf("%s: %v (%v), want %v", want.Name, got, err, want.Data)
			}
		})
	}
	wg.Wait()
	hftest.WantError(t, w.ReadF32("a.weight", make([]float32, 3)), "has 12 elements, the destination 3")
	hftest.WantError(t, w.ReadF32("nope", nil), `no tensor "nope"`)
}

func TestWeightsRoundTrip(t *testing.T) {
	dir := t.TempDir()
	// Single, then shards over it, then single again: no leftover may win.
	for _, c := range []struct {
		limit int64
		files []string
	}{
		{0, []string{"model.safetensors"}},
		{40, []string{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"}},
		{1 << 20, []string{"model.safetensors"}},
	} {
		if err := WriteWeights(dir, testTensors(), c.limit); err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, c.files) {
			t.Errorf("limit %d: files %v, want %v", c.limit, names, c.files)
		}
		checkWeights(t, dir)
	}
}

func TestShardRefusals(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenWeights(dir)
	hftest.WantError(t, err, "neither model.safetensors nor")
	if err := WriteWeights(dir, testTensors(), 40); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model-00002-of-00003.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err = OpenWeights(dir)
	hftest.WantError(t, err, "shard model-00002-of-00003.safetensors is missing")
	for _, c := range []struct{ index, want string }{
		{`{"weight_map":{"a":"../x.safetensors"}}`, "not a plain file name"},
		{`{"weight_map":{}}`, "missing or empty"},
		{`{"weight_map":{"zz":"model-00001-of-00003.safetensors"}}`, `tensor "zz" is not in its shard`},
	} {
		if err := os.WriteFile(filepath.Join(dir, indexName), []byte(c.index), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := OpenWeights(dir)
		hftest.WantError(t, err, c.want)
	}
}

func TestWriteRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for _, c := range []struct {
		list []NamedTensor
		want string
	}{
		{[]NamedTensor{{"a", []int{2}, "F32", make([]float32, 3)}}, "has 2 elements, data 3"},
		{[]NamedTensor{{"a", []int{1}, "I64", make([]float32, 1)}}, `dtype "I64" cannot be written`},
		{[]NamedTensor{{"a", nil, "F32", make([]float32, 1)}, {"a", nil, "F32", make([]float32, 1)}}, "given twice"},
	} {
		hftest.WantError(t, WriteSafetensors(path, c.list, nil), c.want)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused write left a file")
	}
}

func TestReadAfterClose(t *testing.T) {
	dir := t.TempDir()
	if err := WriteWeights(dir, testTensors(), 0); err != nil {
		t.Fatal(err)
	}
	w, err := OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	hftest.WantError(t, w.ReadF32("scalar", make([]float32, 1)), "after Close")
}

// Every half widens and comes back; floats round to the nearest, ties to even.
func TestHalfConversions(t *testing.T) {
	for h := range 1 << 16 {
		f, b := F16ToF32(uint16(h)), BF16ToF32(uint16(h))
		if f == f && F32ToF16(f) != uint16(h) || f != f && F32ToF16(f)&0x7fff <= 0x7c00 {
			t.Fatalf("half %#x became %v became %#x", h, f, F32ToF16(f))
		}
		if b == b && F32ToBF16(b) != uint16(h) || b != b && F32ToBF16(b)&0x7fff <= 0x7f80 {
			t.Fatalf("bfloat %#x became %v became %#x", h, b, F32ToBF16(b))
		}
	}
	nearest := func(r *rapid.T, x float32, h uint16, widen func(uint16) float32) {
		d := math.Abs(float64(widen(h)) - float64(x))
		for _, o := range []uint16{h - 1, h + 1} {
			e := math.Abs(float64(widen(o)) - float64(x))
			if e < d || e == d && h&1 == 1 {
				r.Fatalf("%v rounds to %v, %v is nearer or even", x, widen(h), widen(o))
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		x := float32(rapid.Float64Range(-60000, 60000).Draw(r, "x"))
		if rapid.Bool().Draw(r, "small") {
			x /= 1 << 28
		}
		if h := F32ToF16(x); h&0x7fff > 0 {
			nearest(r, x, h, F16ToF32)
		}
		if h := F32ToBF16(x); h&0x7fff > 0 {
			nearest(r, x, h, BF16ToF32)
		}
	})
	if F32ToF16(65520) != 0x7c00 || F32ToF16(65519) != 0x7bff || F32ToF16(float32(math.Inf(-1))) != 0xfc00 {
		t.Error("overflow of half is not at 65520")
	}
}

func TestSmallFiles(t *testing.T) {
	dir := t.TempDir()
	pad := int32(0)
	want := GenerationConfig{EOS: TokenIDs{2}, Pad: &pad}
	if err := WriteGenerationConfig(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadGenerationConfig(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v (%v)", got, err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"format":"pt"}}`), int64(8))
	f.Add([]byte(`{"a":{"dtype":"U8","shape":[0,9],"data_offsets":[0,0]}}`), int64(0))
	f.Add([]byte(`{"a":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]},"b":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[3,6]}}`), int64(6))
	f.Add([]byte(`{"a":{"dtype":"C64","shape":[3000000000,0],"data_offsets":[0,0]}}`), int64(0))
	f.Fuzz(func(t *testing.T, head []byte, data int64) {
		list, _, err := parseHeader(head, data)
		if err != nil {
			return
		}
		var sum int64
		for _, e := range list {
			if e.start != sum || int64(e.Elements())*dtypeBits[e.DType] != 8*(e.end-e.start) {
				t.Fatalf("accepted %+v at %d", e, sum)
			}
			sum = e.end
		}
		if sum != data {
			t.Fatalf("accepted %d of %d bytes", sum, data)
		}
	})
}
