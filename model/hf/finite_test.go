package hf

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNotFiniteCountsWhatDecodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dtype := rapid.SampledFrom([]string{"F32", "BF16", "F16"}).Draw(t, "dtype")
		n := rapid.IntRange(0, 40).Draw(t, "n")
		raw := make([]byte, 0, 4*n)
		for range n {
			// Exponents of ones are drawn often, with and without a fraction.
			bits := rapid.OneOf(rapid.Uint32(), rapid.SampledFrom([]uint32{
				0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0x7f800001, 0x7c007c00, 0xfc00fc00, 0x7bff7bff, 0xff80ff80, 0x7f7f7f7f, 0xffffffff,
			})).Draw(t, "bits")
			if dtype == "F32" {
				raw = binary.LittleEndian.AppendUint32(raw, bits)
			} else {
				raw = binary.LittleEndian.AppendUint16(raw, uint16(bits))
			}
		}
		values := make([]float32, n)
		convertF32(values, raw, dtype)
		want, _, _ := unfit(values, dtype)
		if got := NotFinite(raw, dtype); got != want {
			t.Fatalf("%s %x: %d, want %d", dtype, raw, got, want)
		}
	})
}

// What is said to overflow is what becomes infinite when it is encoded.
func TestUnfitIsWhatEncodesAsInfinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dtype := rapid.SampledFrom([]string{"F32", "BF16", "F16"}).Draw(t, "dtype")
		bits := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0x477fe000-3, 0x477ff000+3), rapid.Uint32Range(0x7f7f7000, 0x7f800003)).Draw(t, "bits")
		v := []float32{math.Float32frombits(bits)}
		raw := make([]byte, 4)
		encodeF32(raw, v, dtype)
		stored := make([]float32, 1)
		convertF32(stored, raw, dtype)
		broken, over, _ := unfit(v, dtype)
		if finite := stored[0]-stored[0] == 0; finite != (broken+over == 0) {
			t.Fatalf("%s %g is stored as %g; broken %d, over %d", dtype, v[0], stored[0], broken, over)
		}
	})
}

func TestUnfitTensorsAreNotWritten(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		dtype string
		data  []float32
		want  string // "" for written
	}{
		{"F16", []float32{65504, -65519}, ""},
		{"F16", []float32{65504, -65520}, "1 of 2 values overflow float16 (the largest is 6.552e+04)"},
		{"F16", []float32{1e5, -2e5, 3}, "2 of 3 values overflow float16 (the largest is 2e+05)"},
		{"BF16", []float32{1e5, 3.38e38}, ""},
		{"BF16", []float32{1, math.MaxFloat32}, "1 of 2 values overflow bfloat16"},
		{"F32", []float32{math.MaxFloat32}, ""},
		{"F32", []float32{1, nan, inf, -inf}, "3 of 4 values are not finite"},
		{"BF16", []float32{1, nan}, "1 of 2 values are not finite"},
	} {
		path := filepath.Join(t.TempDir(), "f.safetensors")
		err := WriteSafetensors(path, []NamedTensor{{Name: "a.weight", Shape: []int{len(c.data)}, DType: c.dtype, Data: c.data}}, nil)
		_, stat := os.Stat(path)
		switch {
		case c.want == "" && (err != nil || stat != nil):
			t.Errorf("%s %v: %v, %v", c.dtype, c.data, err, stat)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), `tensor "a.weight": `+c.want) || stat == nil):
			t.Errorf("%s %v: %v (file: %v) does not say %q", c.dtype, c.data, err, stat == nil, c.want)
		}
	}
	// Bytes that are copied as they are.
	raw := Stream{Name: "b", TensorInfo: TensorInfo{DType: "BF16", Shape: []int{3}}, Raw: func() ([]byte, error) { return []byte{0, 0, 0x80, 0x7f, 1, 1}, nil }}
	if err := WriteStreams(filepath.Join(t.TempDir(), "f"), []Stream{raw}, nil); err == nil || !strings.Contains(err.Error(), `tensor "b": 1 of 3 values are not finite`) {
		t.Errorf("copied bytes: %v", err)
	}
}

func BenchmarkNotFinite(b *testing.B) {
	raw := make([]byte, 64<<20)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		NotFinite(raw, "BF16")
	}
}
