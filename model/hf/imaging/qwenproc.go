package imaging

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// QwenProcessor makes the patches the vision towers of Qwen2-VL and Qwen2.5-VL
// read: convert to RGB, resize to whole merge blocks of about the picture's own
// size, rescale, normalise, cut into patches.
// MinPixels and MaxPixels bound an area and no side, so a long picture stays long.
type QwenProcessor struct {
	DoResize             bool
	MinPixels, MaxPixels int // of the resized picture
	Resample             Resample
	Patch                int // side of a patch in pixels
	Merge                int // side of the block of patches that becomes one token
	Temporal             int // frames of a patch: a picture repeats itself
	PixelScale
}

// NewQwen2VL is the processor with the reference's defaults.
// The areas are 4 and 1,280 tokens of 28 × 28 pixels each.
func NewQwen2VL() *QwenProcessor {
	return &QwenProcessor{
		DoResize: true, MinPixels: 56 * 56, MaxPixels: 28 * 28 * 1280, Resample: Bicubic,
		Patch: 14, Merge: 2, Temporal: 2, PixelScale: clipScale(),
	}
}

// validate refuses patches and sizes out of any range.
func (p *QwenProcessor) validate() error {
	if err := p.Resample.validate(); err != nil {
		return err
	}
	if min(p.Patch, p.Merge, p.Temporal) < 1 || max(p.Patch, p.Merge, p.Temporal) > 256 {
		return fmt.Errorf("patch_size %d, merge_size %d and temporal_patch_size %d must be 1 to 256", p.Patch, p.Merge, p.Temporal)
	}
	if p.MinPixels < 1 || p.MaxPixels < p.MinPixels || p.MaxPixels > MaxPixels {
		return fmt.Errorf("size: a picture of %d to %d pixels (shortest_edge or min_pixels, longest_edge or max_pixels) is out of order or beyond %d", p.MinPixels, p.MaxPixels, MaxPixels)
	}
	return p.PixelScale.validate()
}

// Size is 0, 0: every picture keeps about its own shape.
func (p *QwenProcessor) Size() (h, w int) { return 0, 0 }

// maxAspect is the most the longer side may be of the shorter.
const maxAspect = 200

// Target is the size a picture of h × w pixels is resized to: multiples of
// Patch·Merge whose product lies within MinPixels and MaxPixels, rounded as
// the reference rounds.
// The rounding to the even multiple at a tie is Python's round.
func (p *QwenProcessor) Target(h, w int) (int, int, error) {
	if h < 1 || w < 1 {
		return 0, 0, errors.New("image is empty")
	}
	if long, short := max(h, w), min(h, w); long > maxAspect*short {
		return 0, 0, fmt.Errorf("image of %d×%d pixels (width × height): one side is %.6g times the other, this model takes at most %d; crop it", w, h, float64(long)/float64(short), maxAspect)
	}
	// The names and the order of the roundings are those of smart_resize, whose results
	// are sensitive to both.
	factor := p.Patch * p.Merge
	f, fh, fw := float64(factor), float64(h), float64(w)
	th, tw := int(math.RoundToEven(fh/f))*factor, int(math.RoundToEven(fw/f))*factor
	switch {
	case th*tw > p.MaxPixels:
		beta := math.Sqrt(fh * fw / float64(p.MaxPixels))
		th = max(factor, int(math.Floor(fh/beta/f))*factor)
		tw = max(factor, int(math.Floor(fw/beta/f))*factor)
	case th*tw < p.MinPixels:
		beta := math.Sqrt(float64(p.MinPixels) / (fh * fw))
		// The conversions keep the compiler from fusing the product.
		th = int(math.Ceil(float64(fh*beta)/f)) * factor
		tw = int(math.Ceil(float64(fw*beta)/f)) * factor
	}
	return th, tw, nil
}

// Layout implements Processor: patches, in merge blocks.
func (p *QwenProcessor) Layout() Layout { return Patches(p.Patch, p.Merge, p.Temporal) }

// Check implements Processor.
// It fails for pictures that are too long for the model, which is known before anything is
// decoded.
func (p *QwenProcessor) Check(h, w int) error {
	_, _, err := p.size(h, w)
	return err
}

// size is the size at which a picture of h × w pixels is read.
func (p *QwenProcessor) size(h, w int) (int, int, error) {
	if p.DoResize {
		return p.Target(h, w)
	}
	if factor := p.Patch * p.Merge; h < 1 || w < 1 || h%factor != 0 || w%factor != 0 {
		return 0, 0, fmt.Errorf("image of %d×%d pixels is not of whole blocks of %d pixels and do_resize is off", w, h, factor)
	}
	return h, w, nil
}

// Process gives img as patches [h/Patch · w/Patch, 3·Temporal·Patch²] of the
// resized picture, in the order of Layout: a patch holds its planes R, G, B, each
// Temporal times. Transparent pictures are shown on white, as by CLIPProcessor.
func (p *QwenProcessor) Process(img image.Image) (Image, error) {
	h, w, err := p.size(img.Bounds().Dy(), img.Bounds().Dx())
	if err != nil {
		return Image{}, err
	}
	rgb, err := Resize(overWhite(img), w, h, p.Resample)
	if err != nil {
		return Image{}, err
	}
	g := Grid{1, h / p.Patch, w / p.Patch}
	return p.Layout().store(rgb, g, &p.PixelScale), nil
}

// Denormalize puts the patches of one picture together again.
// Videos, with T beyond 1, are no picture.
func (p *QwenProcessor) Denormalize(in Image) (*image.RGBA, error) {
	g := in.Grid
	if g.T != 1 || g.H < 1 || g.W < 1 || g.H%p.Merge != 0 || g.W%p.Merge != 0 {
		return nil, fmt.Errorf("a grid of %d×%d×%d patches is not a picture of whole %d×%d blocks", g.T, g.H, g.W, p.Merge, p.Merge)
	}
	l := p.Layout()
	if want := l.values(g); len(in.Pixels) != want {
		return nil, fmt.Errorf("%d pixel values, a grid of %d×%d patches has %d", len(in.Pixels), g.H, g.W, want)
	}
	return l.picture(in, &p.PixelScale), nil
}
