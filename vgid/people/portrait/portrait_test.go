package portrait

import (
	"bytes"
	"image"
	"image/color"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plain is a face of which every attribute shows whatever the others are: hair
// without a hat above it, eyes without glasses before them.
func plain() Face {
	var f Face
	f[HairStyle] = 2 // long
	return f
}

func drawFace(t *rapid.T) (f Face) {
	for a := range f {
		f[a] = uint8(rapid.IntRange(0, len(Values[a])-1).Draw(t, "value"))
	}
	return f
}

// A view is a function of face, size, seed, id and view, and of each of them.
func TestViewIsAFunctionOfItsKey(t *testing.T) {
	f := plain()
	base := View(f, 48, 3, "p7", 2)
	if again := View(f, 48, 3, "p7", 2); !bytes.Equal(again.Pix, base.Pix) {
		t.Error("the same view was drawn differently")
	}
	other := f
	other[Skin]++
	for what, img := range map[string]*image.RGBA{
		"seed": View(f, 48, 4, "p7", 2), "id": View(f, 48, 3, "p8", 2), "view": View(f, 48, 3, "p7", 3), "face": View(other, 48, 3, "p7", 2),
	} {
		if bytes.Equal(img.Pix, base.Pix) {
			t.Errorf("another %s gives the same picture", what)
		}
	}
}

// Pictures have the size that is asked for and no transparent pixel, for every
// combination of values: none of them leaves the tables of colours and shapes.
func TestPicturesAreOpaqueAtAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, size := drawFace(t), rapid.IntRange(1, 64).Draw(t, "size")
		img := View(f, size, rapid.Uint64().Draw(t, "seed"), "x", 0)
		if img.Rect != image.Rect(0, 0, size, size) {
			t.Fatalf("%v for a side of %d", img.Rect, size)
		}
		for i := 3; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 255 {
				t.Fatalf("pixel %d has an alpha of %d", i/4, img.Pix[i])
			}
		}
	})
}

// distance is the mean difference of two pictures per channel, of 255.
func distance(a, b *image.RGBA) float64 {
	sum := 0.0
	for i := range a.Pix {
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += max(d, -d)
	}
	return sum / float64(len(a.Pix)*3/4)
}

// same draws a face under chances that are the same for every face.
func same(f Face) *image.RGBA { return Draw(f, 96, rand.New(rand.NewPCG(1, 2))) }

// Under the same light, pose and noise only the face differs, and each value of each
// attribute must show: a model is to tell them apart at 96 pixels.
func TestEveryValueShows(t *testing.T) {
	for a, values := range Values {
		for i := range values {
			for j := range i {
				f, g := plain(), plain()
				f[a], g[a] = uint8(i), uint8(j)
				if d := distance(same(f), same(g)); d < .15 {
					t.Errorf("attribute %d: %s and %s differ by %.3f of 255 in the mean", a, values[i], values[j], d)
				}
			}
		}
	}
}

// Behind dark glasses the iris still shows, or its colour could not be asked for; a
// beard of a bald head is the same whatever colour the hair would have.
func TestWhatHidesAnAttribute(t *testing.T) {
	for i := range Values[Eyes] {
		for j := range i {
			f, g := plain(), plain()
			f[Glasses], g[Glasses] = 3, 3 // dark
			f[Eyes], g[Eyes] = uint8(i), uint8(j)
			if bytes.Equal(same(f).Pix, same(g).Pix) {
				t.Errorf("dark glasses hide whether eyes are %s or %s", f.Value(Eyes), g.Value(Eyes))
			}
		}
	}
	var f Face // bald
	f[Beard] = 1
	g := f
	g[HairColour] = 7
	if !bytes.Equal(same(f).Pix, same(g).Pix) {
		t.Error("the colour of hair that a bald head does not have shows")
	}
}

// Everything is drawn whether it shows or not: faces take the same number of draws,
// so that what is drawn behind them does not depend on the face.
func TestFacesTakeTheSameDraws(t *testing.T) {
	after := func(f Face) uint64 {
		r := rand.New(rand.NewPCG(5, 6))
		Draw(f, 16, r)
		return r.Uint64()
	}
	want := after(Face{})
	rapid.Check(t, func(t *rapid.T) {
		if f := drawFace(t); after(f) != want {
			t.Fatalf("%v takes another number of draws", f)
		}
	})
}

// The sizes in portrait units follow the size in pixels: what is drawn at 48 pixels
// is what is drawn at 96, at half the side.
func TestPortraitUnitsScale(t *testing.T) {
	box := func(size int) *image.RGBA {
		p := &drawing{face: plain()}
		p.img = image.NewRGBA(image.Rect(0, 0, size, size))
		p.a, p.d = float64(size)/96, float64(size)/96
		p.rect(rgb(200, 0, 0), 24, 48, 72, 96)
		return p.img
	}
	for _, size := range []int{24, 48, 96} {
		img := box(size)
		for y := range size {
			for x := range size {
				inside := x >= size/4 && x < size*3/4 && y >= size/2
				if got := img.RGBAAt(x, y) == (color.RGBA{200, 0, 0, 255}); got != inside {
					t.Fatalf("size %d: pixel %d, %d is painted: %v", size, x, y, got)
				}
			}
		}
	}
}

// A ring and a frame leave their middle open, and what has no area paints nothing.
func TestOutlinesAreOpen(t *testing.T) {
	for name, paint := range map[string]func(*canvas){
		"ring":  func(k *canvas) { k.ring(rgb(0, 0, 9), 48, 48, 40, 6) },
		"frame": func(k *canvas) { k.frame(rgb(0, 0, 9), 8, 8, 88, 88, 6) },
	} {
		k := &canvas{img: image.NewRGBA(image.Rect(0, 0, 96, 96)), a: 1, d: 1}
		if paint(k); k.img.RGBAAt(48, 48).A != 0 || k.img.RGBAAt(48, 11).A != 255 {
			t.Errorf("%s: the middle has alpha %d, the edge %d", name, k.img.RGBAAt(48, 48).A, k.img.RGBAAt(48, 11).A)
		}
	}
	k := &canvas{img: image.NewRGBA(image.Rect(0, 0, 8, 8)), a: 1, d: 1}
	k.fill(rgb(1, 1, 1), []point{{0, 0}, {8, 8}})
	k.rect(rgb(1, 1, 1), 20, 20, 30, 30) // outside
	if !bytes.Equal(k.img.Pix, make([]uint8, len(k.img.Pix))) {
		t.Error("what has no area inside the picture was painted")
	}
}

// A description holds the word of each attribute, in the order of the attributes
// but for the pattern, which stands before "shirt".
func TestDescribe(t *testing.T) {
	var f Face
	for a := range f {
		f[a] = uint8(len(Values[a]) - 1)
	}
	const want = "square face, dark skin, bun pink hair, amber eyes, dark glasses, moustached chin, band hat, orange dotted shirt."
	if got := f.Describe(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := drawFace(t)
		words := regexp.MustCompile(`[a-z]+`).FindAllString(f.Describe(), -1)
		for a := range NumAttributes {
			if !strings.Contains(" "+strings.Join(words, " ")+" ", " "+f.Value(a)+" ") {
				t.Fatalf("%q lacks %q", f.Describe(), f.Value(a))
			}
		}
	})
}

// Faces that are drawn at random take every value of every attribute.
func TestRandomReachesEveryValue(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var seen [NumAttributes][16]bool
	for range 400 {
		for a, v := range Random(r) {
			seen[a][v] = true
		}
	}
	for a, values := range Values {
		for v := range 16 {
			if seen[a][v] != (v < len(values)) {
				t.Errorf("attribute %d, value %d of %d: drawn %v", a, v, len(values), seen[a][v])
			}
		}
	}
}
