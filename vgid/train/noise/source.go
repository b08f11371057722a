package noise

import (
	"slices"

	"vgid/model/backend"
	"vgid/model/hf/imaging"
)

// Sites of the random streams that noise draws from (backend.Key.Site). A new kind
// that needs one more takes the next number: a stream that two share would tie what
// they draw to each other.
const (
	sitePixels uint32 = 1 + iota
	siteBlocks
)

// Source draws what is random of one picture.
type Source struct {
	key    backend.Key
	sample uint32
	layout imaging.Layout
	draw   []float32
}

// Pixels draws a picture's values, one for each pixel of a still picture, in the
// order in which they are stored. The same value in each frame keeps it still:
// towers merge frames, which would average other noise out.
func (s *Source) Pixels(img imaging.Image, dist backend.Distribution) {
	size := len(img.Pixels) / s.layout.Frames(img.Grid)
	s.draw = slices.Grow(s.draw[:0], size)[:size]
	s.fill(s.draw, dist, sitePixels)
	drawn := 0
	for r := range s.layout.Rows(img.Grid) {
		dst := img.Pixels[r.At : r.At+r.Len]
		if r.Frame == 0 {
			drawn += copy(dst, s.draw[drawn:])
			continue
		}
		copy(dst, img.Pixels[s.layout.At(img.Grid, r.Channel, 0, r.Y, r.X):])
	}
}

// Blocks draws a number from [0, 1) for each of n blocks of a picture.
func (s *Source) Blocks(n int) []float32 {
	u := make([]float32, n)
	s.fill(u, backend.Uniform, siteBlocks)
	return u
}

func (s *Source) fill(dst []float32, dist backend.Distribution, site uint32) {
	key := s.key
	key.Site = site
	backend.FillRandom(dst, dist, key, s.sample)
}
