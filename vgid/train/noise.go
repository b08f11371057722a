package train

import (
	"fmt"
	"math"
	"slices"

	"vgid/model"
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
	tower         model.VisionConfig
	signal, noise float32 // diffusion
	draw          []float32
}

// NewNoiser prepares the noise of cfg for what a vision tower reads.
func NewNoiser(cfg config.Noise, seed uint64, tower model.VisionConfig) (*Noiser, error) {
	n := &Noiser{cfg: cfg, seed: seed, tower: tower}
	switch cfg.Kind {
	case "diffusion":
		s, e := diffusionScale(cfg.Step)
		n.signal, n.noise = float32(s), float32(e)
	case "patch-mask":
		if n.cfg.Patch == 0 {
			n.cfg.Patch = tower.PatchSize
		}
		switch p := n.cfg.Patch; {
		case tower.MergeSize > 0 && p%tower.PatchSize != 0:
			return nil, fmt.Errorf("unlearn.noise.patch: %d is not a multiple of the model's patches of %d pixels", p, tower.PatchSize)
		case tower.MergeSize == 0 && tower.ImageSize%p != 0:
			return nil, fmt.Errorf("unlearn.noise.patch: %d does not divide the %d×%d image", p, tower.ImageSize, tower.ImageSize)
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
		n.random(out.Pixels, backend.Uniform, key, sample)
	case "gaussian-replace":
		n.random(out.Pixels, backend.Normal, key, sample)
	case "gaussian-add":
		n.random(out.Pixels, backend.Normal, key, sample)
		combine(out.Pixels, src, out.Pixels, 1, float32(n.cfg.Sigma))
	case "diffusion":
		n.random(out.Pixels, backend.Normal, key, sample)
		combine(out.Pixels, src, out.Pixels, n.signal, n.noise)
	case "patch-mask":
		copy(out.Pixels, src)
		n.mask(out, key, sample)
	}
	return out
}

// random draws a picture's values.
func (n *Noiser) random(dst []float32, dist backend.Distribution, key backend.Key, sample uint32) {
	frames := max(1, n.tower.TemporalSize)
	if frames == 1 {
		backend.FillRandom(dst, dist, key, sample)
		return
	}
	n.draw = slices.Grow(n.draw[:0], len(dst)/frames)[:len(dst)/frames]
	backend.FillRandom(n.draw, dist, key, sample)
	// Of each channel of each patch, the frames lie behind each other.
	size := n.tower.PatchSize * n.tower.PatchSize
	for i := 0; i < len(dst); i += size {
		from := i / size / frames * size
		copy(dst[i:i+size], n.draw[from:from+size])
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
	t, side := &n.tower, n.cfg.Patch
	height, width := t.ImageSize, t.ImageSize
	if t.MergeSize > 0 {
		height, width = img.Grid.H*t.PatchSize, img.Grid.W*t.PatchSize
	}
	across := (width + side - 1) / side
	key.Site = siteNoisePatch
	u := make([]float32, (height+side-1)/side*across)
	backend.FillRandom(u, backend.Uniform, key, sample)
	blank := func(y, x int) bool { return float64(u[y/side*across+x/side]) < n.cfg.Ratio }
	if t.MergeSize == 0 {
		for at := 0; at < len(img.Pixels); at += side {
			if blank(at/width%height, at%width) {
				clear(img.Pixels[at : at+side])
			}
		}
		return
	}
	// Patches lie merge block by merge block.
	m := t.MergeSize
	values := len(img.Pixels) / img.Grid.Patches()
	for i := range img.Grid.Patches() {
		block, in := i/(m*m), i%(m*m)
		y, x := block/(img.Grid.W/m)*m+in/m, block%(img.Grid.W/m)*m+in%m
		if blank(y*t.PatchSize, x*t.PatchSize) {
			clear(img.Pixels[i*values : (i+1)*values])
		}
	}
}
