package family

import (
	"fmt"

	"vgid/model/hf/imaging"
)

// Sequence is one sample: token ids, in which every image is already expanded
// to its ImageTokens() placeholders, and its images in order.
type Sequence struct {
	IDs    []int32
	Images []imaging.Image
	Sample uint32 // global number of the sample, keys its randomness
}

// Check refuses a sequence that a model of this config cannot read.
func (c *Config) Check(s *Sequence) error {
	if len(s.IDs) == 0 {
		return fmt.Errorf("no tokens")
	}
	if len(s.IDs) > c.Text.MaxPositions {
		return fmt.Errorf("%d tokens are more than max_position_embeddings %d of the model", len(s.IDs), c.Text.MaxPositions)
	}
	for i, id := range s.IDs {
		if id < 0 || int(id) >= c.Text.VocabSize {
			return fmt.Errorf("token %d has id %d, the vocabulary has %d", i, id, c.Text.VocabSize)
		}
	}
	return c.Family.CheckImages(c, s)
}

// Blank is a sequence of so many tokens that begins with that many images,
// black ones of side×side pixels where the tower takes any size.
func (c *Config) Blank(tokens, images, side int) (Sequence, error) {
	img := c.Family.Blank(c, side)
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

// SideTokens is how many tokens an image of side×side pixels takes; families
// with images of one size ignore side.
func (c *Config) SideTokens(side int) int { return c.ImageTokens(c.Family.Blank(c, side).Grid) }
