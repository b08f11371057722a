package model

import (
	"fmt"

	"vgid/model/hf/imaging"
)

// Blank is a sequence of so many tokens that begins with that many images,
// black ones of side×side pixels where the tower takes any size.
func (c *Config) Blank(tokens, images, side int) (Sequence, error) {
	img := c.blankImage(side)
	var s Sequence
	text := int32(0)
	if c.ImageTokenID == 0 {
		text = 1
	}
	for range images {
		s.Images = append(s.Images, img)
		for range c.ImageTokens(img.Grid) {
			s.IDs = append(s.IDs, int32(c.ImageTokenID))
		}
		s.IDs = append(s.IDs, text)
	}
	if len(s.IDs) > tokens {
		return s, fmt.Errorf("%d tokens are too few for the %d of %d images", tokens, len(s.IDs), images)
	}
	for len(s.IDs) < tokens {
		s.IDs = append(s.IDs, text)
	}
	return s, nil
}

// blankImage is a black image.
func (c *Config) blankImage(side int) imaging.Image {
	v := &c.Vision
	if v.MergeSize == 0 {
		return imaging.Image{Pixels: make([]float32, v.Channels*v.ImageSize*v.ImageSize)}
	}
	unit := v.PatchSize * v.MergeSize
	n := max(1, (side+unit/2)/unit) * v.MergeSize
	g := imaging.Grid{T: 1, H: n, W: n}
	return imaging.Image{Grid: g, Pixels: make([]float32, g.Patches()*v.patchValues())}
}

// SideTokens is how many tokens an image of side×side pixels takes; families
// with images of one size ignore side.
func (c *Config) SideTokens(side int) int { return c.ImageTokens(c.blankImage(side).Grid) }
