package hf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func goldenImage(t *testing.T, name string) image.Image {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/images", name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := DecodeImage(b, name)
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
	readGolden(t, "images/resize.json", &rows)
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
	readGolden(t, "images/cmyk.json", &rows)
	for _, r := range rows {
		img := image.NewCMYK(image.Rect(0, 0, 1, 1))
		img.SetCMYK(0, 0, color.CMYK{C: r[0], M: r[1], Y: r[2], K: r[3]})
		if got := ToRGB(img).Pix; got[0] != r[4] || got[1] != r[5] || got[2] != r[6] {
			t.Errorf("CMYK %v gives %v, want %v", r[:4], got, r[4:])
		}
	}
}

// Pixels equal transformers' CLIP image processor (PIL backend).
func TestPixelsGolden(t *testing.T) {
	var rows []struct {
		Config     json.RawMessage
		Image      string
		Shape      [3]int
		Sum, Sumsq float64
		Sample     []float64
	}
	readGolden(t, "images/clip.json", &rows)
	for _, r := range rows {
		p, err := parseImageProcessor(r.Config)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Process(goldenImage(t, r.Image))
		px := out.Pixels
		if err != nil {
			t.Fatal(err)
		}
		h, w := p.Size()
		if r.Shape != [3]int{3, h, w} || len(px) != 3*h*w {
			t.Fatalf("%s %s: %d values for %d×%d, want shape %v", r.Image, r.Config, len(px), h, w, r.Shape)
		}
		var sum, sq float64
		for _, v := range px {
			sum += float64(v)
			sq += float64(v) * float64(v)
		}
		n := float64(len(px))
		if math.Abs(sum-r.Sum) > 1e-6*n || math.Abs(sq-r.Sumsq) > 1e-6*n*4 {
			t.Errorf("%s %s: sums %v %v, want %v %v", r.Image, r.Config, sum, sq, r.Sum, r.Sumsq)
		}
		step := max(1, len(px)/60)
		for i, want := range r.Sample {
			if got := float64(px[i*step]); math.Abs(got-want) > 2e-6 {
				t.Errorf("%s %s: value %d is %v, want %v", r.Image, r.Config, i*step, got, want)
				break
			}
		}
	}
}

func TestImageProcessorFiles(t *testing.T) {
	dir := t.TempDir()
	want := CLIPImageProcessor(48)
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadImageProcessor(dir)
	if err != nil || !reflect.DeepEqual(got, ImageProcessor(want)) {
		t.Fatalf("read back %+v (%v), want %+v", got, err, want)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "preprocessor_config.json"))
	nested := t.TempDir()
	if err := os.WriteFile(filepath.Join(nested, "processor_config.json"), []byte(`{"image_processor":`+string(b)+`}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err = LoadImageProcessor(nested); err != nil || !reflect.DeepEqual(got, ImageProcessor(want)) {
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

func TestImageRefusals(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"image_processor_type":"Qwen2VLImageProcessor"}`, "Qwen2VLImageProcessor"},
		{`{"resample":9}`, "resample 9"},
		{`{"image_mean":[0.5]}`, "need 3 values"},
		{`{"image_std":[0,1,1]}`, "positive"},
		{`{"size":{"longest_edge":3}}`, "longest_edge"},
		{`{"crop_size":{"height":0,"width":1}}`, "0×1"},
	} {
		_, err := parseImageProcessor([]byte(c.json))
		wantError(t, err, c.want)
	}
	rgb, err := os.ReadFile("testdata/images/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	_, err = DecodeImage(rgb[:len(rgb)/2], "row 7")
	wantError(t, err, "row 7: corrupt png image")
	_, err = DecodeImage([]byte("no picture"), "row 8")
	wantError(t, err, "row 8: 10 bytes are not a readable image")
	// A BMP header that declares 40000 × 40000 pixels.
	bmp := make([]byte, 54)
	copy(bmp, "BM")
	bmp[10], bmp[14], bmp[26], bmp[28] = 54, 40, 1, 24
	bmp[18], bmp[19], bmp[22], bmp[23] = 0x40, 0x9c, 0x40, 0x9c
	_, err = DecodeImage(bmp, "row 9")
	wantError(t, err, "40000×40000 pixels exceeds")
}

func FuzzDecodeImage(f *testing.F) {
	for _, n := range []string{"tiny", "bilevel", "palette_alpha"} {
		b, err := os.ReadFile("testdata/images/" + n + ".png")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := image.Rect(0, 0, 0, 0)
		if img, err := DecodeImage(b, "fuzz"); err == nil {
			if c = img.Bounds(); c.Dx()*c.Dy() < 1<<16 {
				ToRGB(img)
			}
		}
	})
}
