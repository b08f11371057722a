package noise

import (
	"vgid/model/backend"
	"vgid/model/hf/imaging"
)

// x + σ·N(0, 1).
func init() {
	Register(Kind{Name: "gaussian-add", Order: 2, Doc: "normal noise of deviation sigma added to the picture", New: func(c Setup) (Disturb, error) {
		return blend(1, float32(c.Sigma)), nil
	}})
}

// blend weighs picture and normal noise.
func blend(signal, noise float32) Disturb {
	return func(dst, src imaging.Image, s *Source) {
		s.Pixels(dst, backend.Normal)
		for i, e := range dst.Pixels {
			dst.Pixels[i] = signal*src.Pixels[i] + noise*e
		}
	}
}
