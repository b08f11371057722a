package vgid

import (
	"fmt"
	"math"

	"vgid/model"
	"vgid/model/backend"
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
	channels      int
	height, width int
	signal, noise float32 // diffusion
	draw          []float32
}

// NewNoiser prepares the noise of cfg for images of [channels, height, width];
// patch is the model's own patch size.
func NewNoiser(cfg config.Noise, seed uint64, channels, height, width, patch int) (*Noiser, error) {
	n := &Noiser{cfg: cfg, seed: seed, channels: channels, height: height, width: width}
	switch cfg.Kind {
	case "diffusion":
		s, e := diffusionScale(cfg.Step)
		n.signal, n.noise = float32(s), float32(e)
	case "patch-mask":
		if n.cfg.Patch == 0 {
			n.cfg.Patch = patch
		}
		if height%n.cfg.Patch != 0 || width%n.cfg.Patch != 0 {
			return nil, fmt.Errorf("unlearn.noise.patch: %d does not divide the %d×%d image", n.cfg.Patch, width, height)
		}
	}
	return n, nil
}

// noiserFor prepares the noise of cfg for what the vision tower of m reads.
func noiserFor(m *model.Model, cfg config.Noise, seed uint64) (*Noiser, error) {
	v := m.Config.Vision
	return NewNoiser(cfg, seed, v.Channels, v.ImageSize, v.ImageSize, v.PatchSize)
}

// Apply writes the disturbed image to dst, which may be src. The draw depends
// only on the seed, the step and the sample; with Fixed noise not on the step.
func (n *Noiser) Apply(dst, src []float32, step, sample uint32) {
	if n.cfg.Fixed {
		step = 0
	}
	key := backend.Key{Seed: n.seed, Step: step, Site: siteNoise}
	if n.draw == nil {
		n.draw = make([]float32, len(src))
	}
	switch n.cfg.Kind {
	case "none":
		copy(dst, src)
	case "uniform-replace":
		backend.FillRandom(dst, backend.Uniform, key, sample)
	case "gaussian-replace":
		backend.FillRandom(dst, backend.Normal, key, sample)
	case "gaussian-add":
		backend.FillRandom(n.draw, backend.Normal, key, sample)
		combine(dst, src, n.draw, 1, float32(n.cfg.Sigma))
	case "diffusion":
		backend.FillRandom(n.draw, backend.Normal, key, sample)
		combine(dst, src, n.draw, n.signal, n.noise)
	case "patch-mask":
		copy(dst, src)
		n.maskPatches(dst, key, sample)
	}
}

func combine(dst, x, e []float32, a, b float32) {
	for i := range dst {
		dst[i] = a*x[i] + b*e[i]
	}
}

// maskPatches sets a random share of the patches to 0, the mean colour of
// normalised pixel space.
func (n *Noiser) maskPatches(dst []float32, key backend.Key, sample uint32) {
	p := n.cfg.Patch
	cols, rows := n.width/p, n.height/p
	key.Site = siteNoisePatch
	u := make([]float32, rows*cols)
	backend.FillRandom(u, backend.Uniform, key, sample)
	for i, v := range u {
		if float64(v) >= n.cfg.Ratio {
			continue
		}
		for c := range n.channels {
			for y := range p {
				at := (c*n.height+i/cols*p+y)*n.width + i%cols*p
				clear(dst[at : at+p])
			}
		}
	}
}
