package noise

import "math"

// diffusionSteps is the length of the noise schedule of visual contrastive
// decoding (arXiv 2311.16922), which VGID's diffusion noise follows:
// β_i = σ(s_i)·(0.005 - 1e-5) + 1e-5 with s_i from -6 to 6 in 1000 steps.
const diffusionSteps = 1000

// √ᾱ_t·x + √(1-ᾱ_t)·N(0, 1).
func init() {
	Register(Kind{
		Name: "diffusion", Order: 3,
		Doc: "the picture after so many steps of a diffusion (arXiv 2311.16922)",
		New: func(c Setup) (Disturb, error) {
			signal, noise := diffusionScale(c.Step)
			return blend(float32(signal), float32(noise)), nil
		},
	})
}

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
