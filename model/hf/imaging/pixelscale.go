package imaging

import (
	"fmt"
	"math"
)

// PixelScale maps samples of 8 bits to the numbers a tower reads, per channel:
// x·RescaleFactor, then (x − Mean)/Std.
// The product is rounded to float32 before the mean is taken off: two steps, as numpy takes them.
type PixelScale struct {
	DoRescale     bool
	RescaleFactor float64
	DoNormalize   bool
	Mean          [3]float32
	Std           [3]float32
}

// clipScale is the scale of CLIP, which Qwen took over.
func clipScale() PixelScale {
	return PixelScale{
		DoRescale: true, RescaleFactor: 1.0 / 255, DoNormalize: true,
		Mean: [3]float32{0.48145466, 0.4578275, 0.40821073},
		Std:  [3]float32{0.26862954, 0.26130258, 0.27577711},
	}
}

// validate refuses scales that Denormalize could not undo.
func (s *PixelScale) validate() error {
	for _, v := range s.Std {
		if s.DoNormalize && !(v > 0) {
			return fmt.Errorf("image_std %v: each value must be positive", s.Std)
		}
	}
	if s.DoRescale && !(s.RescaleFactor > 0) {
		return fmt.Errorf("rescale_factor %v must be positive", s.RescaleFactor)
	}
	return nil
}

// tables holds the 256 possible results per channel, in float32 steps like the
// reference.
// A picture has more pixels than a channel has values, so each value is computed once.
func (s *PixelScale) tables() *[3][256]float32 {
	var t [3][256]float32
	for c := range t {
		for v := range t[c] {
			x := float32(v)
			if s.DoRescale {
				x = float32(float64(v) * s.RescaleFactor)
			}
			if s.DoNormalize {
				x = (x - s.Mean[c]) / s.Std[c]
			}
			t[c][v] = x
		}
	}
	return &t
}

// sample is the nearest 8-bit sample of channel c to x.
// Rounded and clipped, since noise takes values where no sample is.
func (s *PixelScale) sample(c int, x float32) byte {
	v := float64(x)
	if s.DoNormalize {
		v = v*float64(s.Std[c]) + float64(s.Mean[c])
	}
	if s.DoRescale {
		v /= s.RescaleFactor
	}
	return byte(math.Round(max(0, min(255, v))))
}
