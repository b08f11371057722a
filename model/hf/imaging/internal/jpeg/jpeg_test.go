package jpeg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	stdjpeg "image/jpeg"
	"os"
	"strings"
	"testing"
)

type golden struct {
	Name   string
	File   []byte
	W, H   int
	Space  Space
	Sha256 string
}

func goldens(t testing.TB) []golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/jpegs.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []golden
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Every byte is that of Pillow (testdata/make_jpegs.py).
func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		if w, h, err := Size(g.File); err != nil || w != g.W || h != g.H {
			t.Errorf("%s: size %d×%d (%v), want %d×%d", g.Name, w, h, err, g.W, g.H)
		}
		p, err := Decode(g.File)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		if p.W != g.W || p.H != g.H || p.Space != g.Space {
			t.Errorf("%s: %d×%d in space %d, want %d×%d in %d", g.Name, p.W, p.H, p.Space, g.W, g.H, g.Space)
		}
		if sum := sha256.Sum256(p.Pix); hex.EncodeToString(sum[:]) != g.Sha256 {
			t.Errorf("%s: pixels differ from Pillow's", g.Name)
		}
	}
}

func find(t *testing.T, name string) []byte {
	t.Helper()
	for _, g := range goldens(t) {
		if g.Name == name {
			return g.File
		}
	}
	t.Fatalf("no golden file %q", name)
	return nil
}

// A file cut anywhere is refused, as Pillow refuses it, and so is one that ends
// in the middle of its data with an end marker.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"33x47 420", "33x47 420 progressive", "33x47 restarts"} {
		file := find(t, name)
		for n := range len(file) {
			if _, err := Decode(file[:n]); err == nil {
				t.Fatalf("%s: accepted with %d of %d bytes", name, n, len(file))
			}
		}
		cut := append(bytes.Clone(file[:len(file)*9/10]), 0xff, eoi)
		if _, err := Decode(cut); err == nil {
			t.Errorf("%s: accepted with an early end marker", name)
		}
	}
}

func TestRefusals(t *testing.T) {
	file := find(t, "33x47 420")
	at := bytes.Index(file, []byte{0xff, sof0})
	with := func(i int, v byte, more ...byte) []byte { // bytes of the frame header; more: other places and values
		b := bytes.Clone(file)
		b[at+i] = v
		for j := 0; j < len(more); j += 2 {
			b[at+int(more[j])] = more[j+1]
		}
		return b
	}
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "start marker"},
		{[]byte("\xff\xd8\xff\xd9"), "no frame"},
		{with(1, 0xc3), "SOF3"},
		{with(1, 0xc9), "SOF9"},
		{with(4, 12), "12 bits"},
		{with(11, 0x30), "sampling factors 3×0"},
		{with(11, 0x31, 14, 0x21), "which libjpeg-turbo does not enlarge"},
		{with(12, 3), "quantization table"},
	} {
		if _, err := Decode(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for i, g := range goldens(f) {
		if i%5 == 0 {
			f.Add(g.File)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, h, err := Size(b); err != nil || w*h > 1<<16 {
			return
		}
		p, err := Decode(b)
		if err == nil && len(p.Pix) != p.W*p.H*int(p.Space) {
			t.Errorf("%d bytes for %d×%d×%d", len(p.Pix), p.W, p.H, p.Space)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	img := image.NewYCbCr(image.Rect(0, 0, 1600, 1200), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = byte(i*7 ^ i>>9)
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = byte(i>>5), byte(i>>10)
	}
	var file bytes.Buffer
	if err := stdjpeg.Encode(&file, img, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("here", func(b *testing.B) {
		b.SetBytes(1600 * 1200)
		for b.Loop() {
			if _, err := Decode(file.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard library without RGB", func(b *testing.B) {
		b.SetBytes(1600 * 1200)
		for b.Loop() {
			if _, err := stdjpeg.Decode(bytes.NewReader(file.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
