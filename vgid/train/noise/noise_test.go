package noise

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"vgid/model/hf/imaging"
	"vgid/vgid/config"
)

// The schedule's values, computed in float64 with NumPy from the definition.
func TestDiffusionSchedule(t *testing.T) {
	for _, g := range []struct {
		t             int
		signal, noise float64
	}{
		{0, .999989, .004726}, {100, .998293, .058406}, {200, .993879, .110475}, {300, .980984, .194089},
		{400, .944860, .327476}, {500, .863017, .505175}, {600, .734246, .678883}, {700, .592677, .805440},
		{800, .467014, .884250}, {900, .364888, .931051}, {999, .285042, .958515},
	} {
		s, n := diffusionScale(g.t)
		if math.Abs(s-g.signal) > 5e-7 || math.Abs(n-g.noise) > 5e-7 {
			t.Errorf("t=%d: %.6f %.6f, want %.6f %.6f", g.t, s, n, g.signal, g.noise)
		}
	}
}

func TestNoiseKinds(t *testing.T) {
	t.Run("planes", func(t *testing.T) {
		noiseKinds(t, imaging.Planes(36, 36), 12, imaging.Image{Pixels: make([]float32, 3*36*36)}, 7)
	})
	t.Run("patches", func(t *testing.T) {
		g := imaging.Grid{T: 1, H: 8, W: 10}
		noiseKinds(t, imaging.Patches(4, 2, 2), 4, imaging.Image{Pixels: make([]float32, g.Patches()*96), Grid: g}, 6)
	})
}

// noiseKinds tries every kind on img; wrong is a side of masked patches that
// does not fit the layout.
func noiseKinds(t *testing.T, layout imaging.Layout, patch int, img imaging.Image, wrong int) {
	src := img.Pixels
	for i := range src {
		src[i] = float32(i/16*3%7) - 3
		if layout.Frames(img.Grid) > 1 { // both frames of a still picture are the same
			src[i] = float32(i/32*3%7) - 3
		}
	}
	stats := func(x []float32) (mean, std float64) {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= float64(len(x))
		for _, v := range x {
			std += (float64(v) - mean) * (float64(v) - mean)
		}
		return mean, math.Sqrt(std / float64(len(x)))
	}
	for _, tc := range []struct {
		cfg   config.Noise
		check func(out []float32) bool
	}{
		{config.Noise{Kind: "none"}, func(o []float32) bool { return slices.Equal(o, src) }},
		{config.Noise{Kind: "uniform-replace"}, func(o []float32) bool {
			m, s := stats(o)
			return slices.Min(o) >= 0 && slices.Max(o) < 1 && math.Abs(m-.5) < .03 && math.Abs(s-math.Sqrt(1./12)) < .02
		}},
		{config.Noise{Kind: "gaussian-replace"}, func(o []float32) bool {
			m, s := stats(o)
			return math.Abs(m) < .08 && math.Abs(s-1) < .06
		}},
		{config.Noise{Kind: "gaussian-add", Sigma: .5}, func(o []float32) bool {
			d := slices.Clone(o)
			for i := range d {
				d[i] -= src[i]
			}
			m, s := stats(d)
			return math.Abs(m) < .04 && math.Abs(s-.5) < .03
		}},
		{config.Noise{Kind: "diffusion", Step: 500}, func(o []float32) bool {
			d := slices.Clone(o)
			for i := range d {
				d[i] -= .863017 * src[i]
			}
			m, s := stats(d)
			return math.Abs(m) < .04 && math.Abs(s-.505) < .03
		}},
		{config.Noise{Kind: "patch-mask", Ratio: 1}, func(o []float32) bool { return slices.Min(o) == 0 && slices.Max(o) == 0 }},
		{config.Noise{Kind: "patch-mask", Ratio: 0}, func(o []float32) bool { return slices.Equal(o, src) }},
	} {
		n, err := New(tc.cfg, 7, layout, patch)
		if err != nil {
			t.Fatal(err)
		}
		apply := func(step, sample uint32) []float32 { return n.Apply(img, step, sample).Pixels }
		a := apply(3, 9)
		if layout.Frames(img.Grid) > 1 {
			for i := range a {
				if i/16%2 == 0 && a[i] != a[i+16] {
					t.Fatalf("%s: the frames of a picture are no longer the same", tc.cfg.Kind)
				}
			}
		}
		if !tc.check(a) {
			t.Errorf("%s: wrong values", tc.cfg.Kind)
		}
		apply(3, 10)
		b := apply(3, 9)
		if !slices.Equal(a, b) {
			t.Errorf("%s: the same (step, sample) gave other noise", tc.cfg.Kind)
		}
		replace := tc.cfg.Kind == "uniform-replace"
		b = apply(4, 9)
		if replace && slices.Equal(a, b) {
			t.Errorf("%s: the next step gave the same noise", tc.cfg.Kind)
		}
		n.fixed = true
		a, b = apply(5, 9), apply(6, 9)
		if !slices.Equal(a, b) {
			t.Errorf("%s: fixed noise changes over steps", tc.cfg.Kind)
		}
	}
	if _, err := New(config.Noise{Kind: "patch-mask", Patch: wrong}, 0, layout, patch); err == nil || !strings.HasPrefix(err.Error(), "unlearn.noise.patch: ") {
		t.Errorf("a patch that does not divide the image: %v", err)
	}
}

// The noise of a sample keeps its bits: a run that goes on draws what it would
// have drawn. (Kinds whose values are drawn and not computed, which are the same
// on every processor.)
func TestNoiseKeepsItsBits(t *testing.T) {
	g := imaging.Grid{T: 1, H: 8, W: 10}
	planes, patches := imaging.Planes(36, 36), imaging.Patches(4, 2, 2)
	for _, c := range []struct {
		layout imaging.Layout
		patch  int
		cfg    config.Noise
		want   string
	}{
		{planes, 12, config.Noise{Kind: "uniform-replace"}, "3aa1043b5c286d11"},
		{planes, 12, config.Noise{Kind: "patch-mask", Ratio: .4}, "afd53c9925aa322f"},
		{planes, 4, config.Noise{Kind: "patch-mask", Ratio: .5, Patch: 12}, "f8cfbcac8b618b76"},
		{patches, 4, config.Noise{Kind: "uniform-replace"}, "398d2e75bf46fe89"},
		{patches, 4, config.Noise{Kind: "patch-mask", Ratio: .4}, "7458a0550d5f648e"},
		{patches, 4, config.Noise{Kind: "patch-mask", Ratio: .5, Patch: 12}, "8e9ef61b697eed80"},
	} {
		img := imaging.Image{Pixels: make([]float32, 3*36*36)}
		if c.layout == patches {
			img = imaging.Image{Pixels: make([]float32, g.Patches()*96), Grid: g}
		}
		for i := range img.Pixels {
			img.Pixels[i] = float32(i%251) - 100
		}
		n, err := New(c.cfg, 7, c.layout, c.patch)
		if err != nil {
			t.Fatal(err)
		}
		var bits []byte
		for s := range uint32(3) {
			for _, v := range n.Apply(img, s, 40+s).Pixels {
				bits = binary.LittleEndian.AppendUint32(bits, math.Float32bits(v))
			}
		}
		if sum := sha256.Sum256(bits); hex.EncodeToString(sum[:8]) != c.want {
			t.Errorf("%+v %+v: other bits, %x", c.layout, c.cfg, sum[:8])
		}
	}
}

// TestMaskedPatchesAreSquares: half-masked, every block of a picture is
// either blank or whole, wherever the tower's layout puts its patches.
func TestMaskedPatchesAreSquares(t *testing.T) {
	g := imaging.Grid{T: 1, H: 12, W: 10}
	img := imaging.Image{Pixels: make([]float32, g.Patches()*96), Grid: g}
	for i := range img.Pixels {
		img.Pixels[i] = 1
	}
	n, err := New(config.Noise{Kind: "patch-mask", Patch: 16, Ratio: 0.5}, 3, imaging.Patches(4, 2, 2), 4)
	if err != nil {
		t.Fatal(err)
	}
	proc := imaging.NewQwen2VL()
	proc.Patch, proc.Mean, proc.Std = 4, [3]float32{}, [3]float32{1, 1, 1}
	rgba, err := proc.Denormalize(n.Apply(img, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	blank := 0
	for y := range 48 {
		for x := range 40 {
			if rgba.RGBAAt(x, y) != rgba.RGBAAt(x/16*16, y/16*16) {
				t.Fatalf("(%d, %d) differs from the corner of its block", x, y)
			}
			if rgba.RGBAAt(x, y).R == 0 {
				blank++
			}
		}
	}
	if blank == 0 || blank == 48*40 {
		t.Errorf("%d of %d pixels are blank", blank, 48*40)
	}
}
