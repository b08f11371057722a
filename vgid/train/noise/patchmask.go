package noise

import (
	"cmp"
	"fmt"

	"vgid/model/hf/imaging"
)

// A random share of square blocks becomes 0, the mean colour of normalised pixel
// space.
func init() {
	Register(Kind{Name: "patch-mask", Order: 4, Doc: "a random share of square blocks in the mean colour", New: func(c Setup) (Disturb, error) {
		side := cmp.Or(c.Patch, c.Tower)
		if err := c.Layout.CheckSquares(side); err != nil {
			return nil, fmt.Errorf("patch: %w", err)
		}
		return func(dst, src imaging.Image, s *Source) {
			copy(dst.Pixels, src.Pixels)
			mask(dst, c.Layout, side, c.Ratio, s)
		}, nil
	}})
}

func mask(img imaging.Image, layout imaging.Layout, side int, ratio float64, s *Source) {
	height, width := layout.Size(img.Grid)
	across := (width + side - 1) / side
	u := s.Blocks((height + side - 1) / side * across)
	for r := range layout.Rows(img.Grid) {
		for x := r.X; x < r.X+r.Len; {
			end := min(x-x%side+side, r.X+r.Len) // of the block, or of the row
			if float64(u[r.Y/side*across+x/side]) < ratio {
				clear(img.Pixels[r.At+x-r.X : r.At+end-r.X])
			}
			x = end
		}
	}
}
