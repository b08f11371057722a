package train

import (
	"fmt"
	"math"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf/imaging"
	"vgid/vgid/config"
)

// Sites of the random streams that training draws from (backend.Key.Site).
const (
	siteNoise uint32 = 1 + iota
	siteNoisePatch
)

// diffusionSteps is the length of the noise schedule of visual contrastive
// decoding (arXiv 2311.16922), which VGID's diffusion noise follows:
// β_i = σ(s_i)·(0.005 - 1e-5) + 1e-5 with s_i from -6 to 6 in 1000 steps.
const diffusionSteps = 1000

// diffusionScale returns √ᾱ_t and √(1-ᾱ_t), the weights of image and noise
// after step t.
func diffusionScale(t int) (signal, noise float64) {
	abar := 1.0
	for i := range t + 1 {
		s := -6 + 12*float64(i)/(diffusionSteps-1)
		beta := (0.005-1e-5)/(1+math.Exp(-s)) + 1e-5
		abar *= 1 - beta
	}
	return math.Sqrt(abar), math.Sqrt(1 - abar)
}

// Noiser disturbs preprocessed images: VGID's visual intervention. It works in
// the model's normalised pixel space, as the authors' script does.
type Noiser struct {
	cfg           config.Noise
	seed          uint64
	layout        imaging.Layout
	signal, noise float32 // diffusion
	draw          []float32
}

// NewNoiser prepares the noise of cfg for pictures of a layout, that of the
// processor which makes them. patch is the side in pixels of the patches of the
// tower that reads them, which patch-mask blanks unless cfg gives a side.
func NewNoiser(cfg config.Noise, seed uint64, layout imaging.Layout, patch int) (*Noiser, error) {
	n := &Noiser{cfg: cfg, seed: seed, layout: layout}
	switch cfg.Kind {
	case "diffusion":
		s, e := diffusionScale(cfg.Step)
		n.signal, n.noise = float32(s), float32(e)
	case "patch-mask":
		if n.cfg.Patch == 0 {
			n.cfg.Patch = patch
		}
		if err := layout.CheckSquares(n.cfg.Patch); err != nil {
			return nil, fmt.Errorf("unlearn.noise.patch: %w", err)
		}
	}
	return n, nil
}

// Apply returns the disturbed image. The draw depends only on the seed, the
// step and the sample; with Fixed noise not on the step. A still picture that
// a tower reads as several equal frames stays one: its frames get the same
// noise.
func (n *Noiser) Apply(img imaging.Image, step, sample uint32) imaging.Image {
	if n.cfg.Fixed {
		step = 0
	}
	key := backend.Key{Seed: n.seed, Step: step, Site: siteNoise}
	src := img.Pixels
	out := imaging.Image{Pixels: make([]float32, len(src)), Grid: img.Grid}
	switch n.cfg.Kind {
	case "none":
		copy(out.Pixels, src)
	case "uniform-replace":
		n.random(out, backend.Uniform, key, sample)
	case "gaussian-replace":
		n.random(out, backend.Normal, key, sample)
	case "gaussian-add":
		n.random(out, backend.Normal, key, sample)
		combine(out.Pixels, src, out.Pixels, 1, float32(n.cfg.Sigma))
	case "diffusion":
		n.random(out, backend.Normal, key, sample)
		combine(out.Pixels, src, out.Pixels, n.signal, n.noise)
	case "patch-mask":
		copy(out.Pixels, src)
		n.mask(out, key, sample)
	}
	return out
}

// random draws a picture's values, one for each pixel of a still picture, in the
// order in which they are stored. The same value in each frame keeps it still:
// towers merge frames, which would average other noise out.
func (n *Noiser) random(img imaging.Image, dist backend.Distribution, key backend.Key, sample uint32) {
	size := len(img.Pixels) / n.layout.Frames(img.Grid)
	n.draw = slices.Grow(n.draw[:0], size)[:size]
	backend.FillRandom(n.draw, dist, key, sample)
	drawn := 0
	for r := range n.layout.Rows(img.Grid) {
		dst := img.Pixels[r.At : r.At+r.Len]
		if r.Frame == 0 {
			drawn += copy(dst, n.draw[drawn:])
			continue
		}
		copy(dst, img.Pixels[n.layout.At(img.Grid, r.Channel, 0, r.Y, r.X):])
	}
}

func combine(dst, x, e []float32, a, b float32) {
	for i := range dst {
		dst[i] = a*x[i] + b*e[i]
	}
}

// mask sets a random share of the blocks of Patch pixels to 0, the mean colour
// of normalised pixel space.
func (n *Noiser) mask(img imaging.Image, key backend.Key, sample uint32) {
	side := n.cfg.Patch
	height, width := n.layout.Size(img.Grid)
	across := (width + side - 1) / side
	key.Site = siteNoisePatch
	u := make([]float32, (height+side-1)/side*across)
	backend.FillRandom(u, backend.Uniform, key, sample)
	for r := range n.layout.Rows(img.Grid) {
		for x := r.X; x < r.X+r.Len; {
			end := min(x-x%side+side, r.X+r.Len) // of the block, or of the row
			if float64(u[r.Y/side*across+x/side]) < n.cfg.Ratio {
				clear(img.Pixels[r.At+x-r.X : r.At+end-r.X])
			}
			x = end
		}
	}
}
