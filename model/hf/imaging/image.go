package imaging

import (
	"image"
)

// Grid counts a picture's patches in time, down and across, before the vision
// tower merges any.
type Grid struct{ T, H, W int }

// Patches is how many patches there are.
func (g Grid) Patches() int { return g.T * g.H * g.W }

// Image is a picture as a vision tower reads it. Towers with one size of
// picture (CLIP) take planes [3, h, w] and no grid; towers with any size
// (Qwen) take patches [Grid.Patches(), 3·temporal·patch·patch].
// It does not say which layout it has: that is its Processor's Layout.
// Pixels belong to whoever has the Image; a Processor keeps none.
type Image struct {
	Pixels []float32
	Grid   Grid
}

// Processor turns pictures into what a vision tower reads, as the
// reference processor that a model's folder names does.
// It may be used by several goroutines at once. Sizes are given as height, width, in pixels.
type Processor interface {
	// Process converts one picture. Errors say what is wrong with it, not
	// where it came from.
	Process(img image.Image) (Image, error)
	// Check is Process's verdict on pictures of h × w pixels.
	Check(h, w int) error
	// Denormalize turns an Image back into a picture, for reports; values
	// outside the range of a picture are clipped.
	Denormalize(img Image) (*image.RGBA, error)
	// Layout is where the pixels of what Process makes lie.
	Layout() Layout
	// Size is the height and width every picture gets; 0, 0 when each keeps
	// its own shape.
	Size() (h, w int)
}
