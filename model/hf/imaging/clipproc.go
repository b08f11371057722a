package imaging

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// CLIPProcessor makes the pixels a CLIP vision tower reads: convert to RGB,
// resize, centre crop, rescale, normalise.
// A processor that validate has let through gives every picture the same size, which is Size: a
// tower with learned positions takes no other.
// Height and Width count where ShortestEdge is 0, CropHeight and CropWidth where DoCenterCrop is
// on.
type CLIPProcessor struct {
	PadToSquare  bool // first, with the mean colour (LlavaImageProcessor's do_pad)
	DoResize     bool
	ShortestEdge int // resize so that the shorter side has this length; 0: to Height × Width
	Height       int
	Width        int
	Resample     Resample

	DoCenterCrop bool
	CropHeight   int
	CropWidth    int
	PixelScale
}

// NewCLIP is the processor of CLIP with square pictures of the
// given side in pixels.
func NewCLIP(side int) *CLIPProcessor {
	return &CLIPProcessor{
		DoResize: true, ShortestEdge: side, Resample: Bicubic,
		DoCenterCrop: true, CropHeight: side, CropWidth: side,
		PixelScale: clipScale(),
	}
}

// maxSide bounds configured sides, so that a mistyped size fails at once.
const maxSide = 1 << 14

// validate refuses what would not make pictures of one size.
// That Size must be positive also means: without a crop the resizing has to fix both sides.
func (p *CLIPProcessor) validate() error {
	if err := p.Resample.validate(); err != nil {
		return err
	}
	if h, w := p.Size(); h <= 0 || w <= 0 || h > maxSide || w > maxSide {
		return fmt.Errorf("size and crop_size do not fix the picture's size: %d×%d pixels (each side must be 1 to %d)", h, w, maxSide)
	}
	if p.DoResize && (p.ShortestEdge < 0 || p.ShortestEdge > maxSide || p.ShortestEdge == 0 && (p.Height <= 0 || p.Width <= 0 || p.Height > maxSide || p.Width > maxSide)) {
		return fmt.Errorf("size: %d or %d×%d pixels is out of range", p.ShortestEdge, p.Height, p.Width)
	}
	return p.PixelScale.validate()
}

// Size is the height and width of the pixels every picture becomes.
func (p *CLIPProcessor) Size() (h, w int) {
	switch {
	case p.DoCenterCrop:
		return p.CropHeight, p.CropWidth
	case p.DoResize && p.ShortestEdge == 0:
		return p.Height, p.Width
	}
	return 0, 0
}

// Layout implements Processor: planes.
func (p *CLIPProcessor) Layout() Layout { return Planes(p.Size()) }

// Check implements Processor.
// Only padding can make a picture larger than it was decoded, and is bounded like decoding.
func (p *CLIPProcessor) Check(h, w int) error {
	if h < 1 || w < 1 {
		return errors.New("image is empty")
	}
	if side := max(w, h); p.PadToSquare && side*side > MaxPixels {
		return fmt.Errorf("image of %d×%d pixels would be padded to %d×%d, more than %d pixels: crop it", w, h, side, side, MaxPixels)
	}
	return nil
}

// Process shows transparent pictures on white, as transformers 5 does (older
// releases dropped alpha), and gives img as float32 [3, h, w] with h, w from
// Size, channels R, G, B. Of the resized picture only what the crop keeps is
// computed.
// img is not changed.
func (p *CLIPProcessor) Process(img image.Image) (Image, error) {
	if err := p.Check(img.Bounds().Dy(), img.Bounds().Dx()); err != nil {
		return Image{}, err
	}
	rgb := overWhite(img)
	if p.PadToSquare {
		rgb = p.padToSquare(rgb)
	}
	w, h := rgb.W, rgb.H
	if p.DoResize {
		w, h = p.target(w, h)
	}
	// A crop that is larger than the picture pads it with black, as center_crop does.
	out := image.Rect(0, 0, w, h)
	if p.DoCenterCrop {
		left, top := floorHalf(w-p.CropWidth), floorHalf(h-p.CropHeight)
		out = image.Rect(left, top, left+p.CropWidth, top+p.CropHeight)
	}
	// The window of the resized picture that is seen, in its coordinates; out may reach beyond it.
	seen := out.Intersect(image.Rect(0, 0, w, h)) // never empty: the crop is about the middle
	part, err := resizeWindow(rgb, w, h, p.Resample, seen)
	if err != nil {
		return Image{}, err
	}
	whole := part.frame(out.Dx(), out.Dy(), seen.Min.Sub(out.Min), [3]byte{})
	return p.Layout().store(whole, Grid{}, &p.PixelScale), nil
}

// target is the size after resizing; the longer side is rounded down.
// It is integer division as in get_resize_output_image_size, where rounding would give a side one
// longer.
func (p *CLIPProcessor) target(w, h int) (int, int) {
	if p.ShortestEdge == 0 {
		return p.Width, p.Height
	}
	s := p.ShortestEdge
	if w <= h {
		return s, s * h / w
	}
	return s * w / h, s
}

// floorHalf rounds down either way, which for padding gives the odd pixel to
// the front.
func floorHalf(n int) int { return int(math.Floor(float64(n) / 2)) }

// padToSquare puts the picture into the middle of a square of the mean colour, cut off to
// 8 bits as LlavaImageProcessor cuts it.
func (p *CLIPProcessor) padToSquare(img RGB) RGB {
	var paper [3]byte
	for c, m := range p.Mean {
		paper[c] = byte(max(0, min(255, float64(m)*255)))
	}
	side := max(img.W, img.H)
	return img.frame(side, side, image.Pt((side-img.W)/2, (side-img.H)/2), paper)
}

// Denormalize turns pixels [3, h, w] with h, w from Size back into a picture.
// It shows what the tower read: what the crop cut off is lost.
func (p *CLIPProcessor) Denormalize(in Image) (*image.RGBA, error) {
	l := p.Layout()
	if want := l.values(Grid{}); len(in.Pixels) != want {
		h, w := p.Size()
		return nil, fmt.Errorf("%d pixel values, a %d×%d picture has %d", len(in.Pixels), h, w, want)
	}
	return l.picture(Image{Pixels: in.Pixels}, &p.PixelScale), nil
}
