package imaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
)

// drawn is a picture of any size (drawn in testdata/make_images.py).
func drawn(w, h int) RGB {
	img := RGB{make([]byte, 3*w*h), w, h}
	for y := range h {
		for x := range w {
			for c := range 3 {
				img.Pix[3*(y*w+x)+c] = byte((x*3 + y*5 + c*40) ^ (x * y >> 4))
			}
		}
	}
	return img
}

func goldenImage(t *testing.T, name string) image.Image {
	t.Helper()
	if size, ok := strings.CutPrefix(name, "drawn:"); ok {
		var w, h int
		if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		return drawn(w, h)
	}
	b, err := os.ReadFile(filepath.Join("testdata/images", name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := Decode(b, name)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Conversion and resizing equal Pillow's byte for byte (testdata/make_images.py).
func TestResizeGolden(t *testing.T) {
	var rows []struct {
		Image    string
		Resample Resample
		W, H     int
		Sha256   string
	}
	hftest.Golden(t, "images/resize.json", &rows)
	for _, r := range rows {
		rgb := ToRGB(goldenImage(t, r.Image))
		if r.Resample >= 0 {
			var err error
			if rgb, err = Resize(rgb, r.W, r.H, r.Resample); err != nil {
				t.Fatal(err)
			}
		}
		if sum := sha256.Sum256(rgb.Pix); hex.EncodeToString(sum[:]) != r.Sha256 {
			t.Errorf("%s to %d×%d with filter %d differs from Pillow", r.Image, r.W, r.H, r.Resample)
		}
	}
}

func TestCMYKGolden(t *testing.T) {
	var rows [][7]byte
	hftest.Golden(t, "images/cmyk.json", &rows)
	for _, r := range rows {
		img := image.NewCMYK(image.Rect(0, 0, 1, 1))
		img.SetCMYK(0, 0, color.CMYK{C: r[0], M: r[1], Y: r[2], K: r[3]})
		if got := ToRGB(img).Pix; got[0] != r[4] || got[1] != r[5] || got[2] != r[6] {
			t.Errorf("CMYK %v gives %v, want %v", r[:4], got, r[4:])
		}
	}
}

// What the processors make is what transformers' (PIL backend) make, bit for
// bit in float32, so that no difference is left before the decoders.
func TestProcessorsGolden(t *testing.T) {
	var rows []struct {
		Config json.RawMessage
		Image  string
		Shape  []int
		Grid   *[3]int
		Sha256 string
		Sample []float64
	}
	hftest.Golden(t, "images/processors.json", &rows)
	for _, r := range rows {
		p, err := parseImageProcessor(r.Config, "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Process(goldenImage(t, r.Image))
		if err != nil {
			t.Fatalf("%s %s: %v", r.Image, r.Config, err)
		}
		n, want := 1, Grid{}
		for _, d := range r.Shape {
			n *= d
		}
		if r.Grid != nil {
			want = Grid{r.Grid[0], r.Grid[1], r.Grid[2]}
		}
		if len(got.Pixels) != n || got.Grid != want {
			t.Errorf("%s %s: %d values with grid %v, want %v with %v", r.Image, r.Config, len(got.Pixels), got.Grid, r.Shape, want)
			continue
		}
		raw := make([]byte, 0, 4*n)
		for _, v := range got.Pixels {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) == r.Sha256 {
			continue
		}
		var seen []float32
		for i := 0; i < n; i += max(1, n/8) {
			seen = append(seen, got.Pixels[i])
		}
		t.Errorf("%s %s: pixels differ; some are %v, want %v", r.Image, r.Config, seen, r.Sample)
	}
}

func TestSmartResizeGolden(t *testing.T) {
	var rows [][7]int
	hftest.Golden(t, "images/smart_resize.json", &rows)
	for _, r := range rows {
		p := QwenProcessor{Patch: r[0] / 2, Merge: 2, MinPixels: r[1], MaxPixels: r[2]}
		if h, w, err := p.Target(r[3], r[4]); err != nil || h != r[5] || w != r[6] {
			t.Errorf("%d×%d in blocks of %d, %d to %d pixels: %d×%d (%v), want %d×%d", r[3], r[4], r[0], r[1], r[2], h, w, err, r[5], r[6])
		}
	}
}

// A picture goes into patches and back without loss.
func TestQwenDenormalize(t *testing.T) {
	p := NewQwen2VL()
	p.DoResize = false
	pic := drawn(84, 56)
	in, err := p.Process(pic)
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.Denormalize(in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ToRGB(back).Pix, pic.Pix) {
		t.Error("the picture changed on its way through the patches")
	}
	_, err = p.Denormalize(Image{in.Pixels[1:], in.Grid})
	hftest.WantError(t, err, "grid of 4×6 patches has")
}

func TestImageProcessorFiles(t *testing.T) {
	dir := t.TempDir()
	want := NewCLIP(48)
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadProcessor(dir)
	if err != nil || !reflect.DeepEqual(got, Processor(want)) {
		t.Fatalf("read back %+v (%v), want %+v", got, err, want)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "preprocessor_config.json"))
	nested := t.TempDir()
	if err := os.WriteFile(filepath.Join(nested, "processor_config.json"), []byte(`{"image_processor":`+string(b)+`}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err = LoadProcessor(nested); err != nil || !reflect.DeepEqual(got, Processor(want)) {
		t.Errorf("nested: %+v (%v)", got, err)
	}
	px, err := got.Process(goldenImage(t, "rgb"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := got.Denormalize(px)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Process(back)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range px.Pixels {
		if math.Abs(float64(v-again.Pixels[i])) > 1e-6 {
			t.Fatalf("value %d: %v became %v through a picture", i, v, again.Pixels[i])
		}
	}
}

// Decoded files are Pillow's, byte for byte (testdata/make_decode.py).
func TestDecodeGolden(t *testing.T) {
	var rows []struct {
		Name   string
		File   []byte
		W, H   int
		Sha256 string
	}
	hftest.Golden(t, "images/decoded.json", &rows)
	for _, r := range rows {
		img, err := Decode(r.File, r.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		rgb := overWhite(img)
		if sum := sha256.Sum256(rgb.Pix); rgb.W != r.W || rgb.H != r.H || hex.EncodeToString(sum[:]) != r.Sha256 {
			t.Errorf("%s: %d×%d pixels that differ from Pillow's %d×%d", r.Name, rgb.W, rgb.H, r.W, r.H)
		}
	}
}

func TestImageRefusals(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"image_processor_type":"SiglipImageProcessor"}`, "SiglipImageProcessor"},
		{`{"do_convert_rgb":false}`, "do_convert_rgb"},
		{`{"size":{"height":3}}`, "size: needs"},
		{`{"image_processor_type":"Qwen2VLImageProcessor","size":224}`, "shortest_edge and longest_edge"},
		{`{"image_processor_type":"Qwen2VLImageProcessor","min_pixels":9,"max_pixels":8}`, "9 to 8 pixels"},
		{`{"image_processor_type":"Qwen2VLImageProcessor","patch_size":0}`, "patch_size 0"},
		{`{"resample":9}`, "resample 9"},
		{`{"image_mean":[0.5]}`, "need 3 values"},
		{`{"image_std":[0,1,1]}`, "positive"},
		{`{"size":{"longest_edge":3}}`, "longest_edge"},
		{`{"crop_size":{"height":0,"width":1}}`, "0×1"},
	} {
		_, err := parseImageProcessor([]byte(c.json), "llava")
		hftest.WantError(t, err, c.want)
	}
	rgb, err := os.ReadFile("testdata/images/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	header := func(w, h int) []byte { // a BMP that declares a size and has no pixels
		b := make([]byte, 54)
		copy(b, "BM")
		b[10], b[14], b[26], b[28] = 54, 40, 1, 24
		binary.LittleEndian.PutUint32(b[18:], uint32(w))
		binary.LittleEndian.PutUint32(b[22:], uint32(h))
		return b
	}
	empty := bytes.Clone(rgb)
	copy(empty[16:24], make([]byte, 8))
	for _, c := range []struct {
		data []byte
		want string
	}{
		{rgb[:len(rgb)/2], "row 7: corrupt png image of 6084 bytes: invalid format: not enough pixel data"},
		{rgb[:20], "row 7: corrupt png image of 20 bytes: the data ends early"},
		{empty, "row 7: corrupt png image"},
		{nil, "row 7: the image is empty (0 bytes)"},
		{[]byte("no picture"), `row 7: 10 bytes are not a readable image (they begin "no picture"); PNG, JPEG`},
		{[]byte("II*\x00...."), "this is a TIFF image"},
		{[]byte("\x00\x00\x00\x18ftypheic...."), "this is a HEIC image"},
		{[]byte("<!DOCTYPE html>"), "row 7: this is a web page, as a download gives that was refused"},
		{[]byte("<note>"), "row 7: this is an XML or HTML document; PNG, JPEG"},
		{[]byte("version https://git-lfs.github.com/spec/v1"), "this is a git-lfs pointer and not the file it stands for; fetch that with \"git lfs pull\""},
		{[]byte("\xff\xd8\xff\xe0"), "corrupt jpeg image of 4 bytes: the data ends early"},
		{[]byte("\xff\xd8\xff\xc0\x00\x0b\x0c\x00\x01\x00\x01\x01\x01\x11\x00"), "row 7: JPEG of this kind is not read (samples of 12 bits, not 8); write it again as PNG"},
		{[]byte("\xff\xd8\xff\xc9\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"), "JPEG of this kind is not read (coding process SOF9"},
		{[]byte("RIFF\x04\x00\x00\x00WEBP"), "corrupt webp image"},
		{header(40000, 40000), "bmp image of 40000×40000 pixels exceeds"},
		{header(13378, 13378), "bmp image of 13378×13378 pixels exceeds"}, // one more than Pillow takes
		{[]byte("GIF89a\x00\x00\x05\x00\x00\x00\x00"), "gif image of 0×5 pixels is empty"},
		{header(100, 100), "corrupt bmp image of 54 bytes: the data ends early"},
	} {
		_, err = Decode(c.data, "row 7")
		hftest.WantError(t, err, c.want)
	}
}

// The shapes that trouble the processors: a strip is fine for CLIP, whose crop
// keeps its middle, and refused for Qwen, as the reference does.
func TestStrip(t *testing.T) {
	for _, strip := range []RGB{drawn(1, 10000), drawn(10000, 1)} {
		if got, err := NewCLIP(336).Process(strip); err != nil || len(got.Pixels) != 3*336*336 {
			t.Errorf("CLIP: %d values, %v", len(got.Pixels), err)
		}
		_, err := NewQwen2VL().Process(strip)
		hftest.WantError(t, err, "one side is 10000 times the other, this model takes at most 200")
	}
}

func FuzzDecodeImage(f *testing.F) {
	for _, n := range []string{"tiny", "bilevel", "palette_alpha"} {
		b, err := os.ReadFile("testdata/images/" + n + ".png")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	var bmps []bmpGolden
	hftest.Golden(f, "images/bmp.json", &bmps)
	for _, b := range bmps {
		f.Add(b.File)
	}
	for _, seed := range []string{"GIF89a", "RIFF\x00\x00\x00\x00WEBPVP8X", "BM", "\xff\xd8\xff\xe1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := formatOf(b); err != nil {
			return
		} else if w, h, err := f.size(b); err != nil || w*h > 1<<16 {
			return
		}
		img, err := Decode(b, "fuzz")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not say where the image came from, in one line", err)
			}
			return
		}
		overWhite(img)
	})
}

// Check says of a size what Process says of a picture of it.
func TestCheckIsTheVerdictOfProcess(t *testing.T) {
	square, whole := NewCLIP(8), NewQwen2VL()
	square.PadToSquare, whole.DoResize, whole.Patch = true, false, 2
	for _, p := range []Processor{square, whole, NewQwen2VL()} {
		for _, r := range []image.Rectangle{image.Rect(0, 0, 8, 4), image.Rect(0, 0, 7, 4), image.Rect(0, 0, 402, 2), image.Rect(0, 0, 0, 4), image.Rect(0, 0, 20000, 1)} {
			_, err := p.Process(image.NewGray(r))
			if got := p.Check(r.Dy(), r.Dx()); fmt.Sprint(got) != fmt.Sprint(err) {
				t.Errorf("%T, %v: Check says %v, Process %v", p, r, got, err)
			}
		}
	}
}
