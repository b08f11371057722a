package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"path/filepath"
)

// CLIPProcessor makes the pixels a CLIP vision tower reads: convert to RGB,
// resize, centre crop, rescale, normalise.
type CLIPProcessor struct {
	DoResize     bool
	ShortestEdge int // resize so that the shorter side has this length; 0: to Height × Width
	Height       int
	Width        int
	Resample     Resample

	DoCenterCrop bool
	CropHeight   int
	CropWidth    int

	DoRescale     bool
	RescaleFactor float64
	DoNormalize   bool
	Mean          [3]float32
	Std           [3]float32
}

// CLIPImageProcessor is the processor of CLIP with square pictures of the
// given side in pixels.
func CLIPImageProcessor(side int) *CLIPProcessor {
	return &CLIPProcessor{
		DoResize: true, ShortestEdge: side, Resample: Bicubic,
		DoCenterCrop: true, CropHeight: side, CropWidth: side,
		DoRescale: true, RescaleFactor: 1.0 / 255, DoNormalize: true,
		Mean: [3]float32{0.48145466, 0.4578275, 0.40821073},
		Std:  [3]float32{0.26862954, 0.26130258, 0.27577711},
	}
}

// sizeJSON accepts {"shortest_edge": n}, {"height": h, "width": w} and n.
type sizeJSON struct{ Shortest, Height, Width int }

func (s *sizeJSON) UnmarshalJSON(b []byte) error {
	var n int
	if json.Unmarshal(b, &n) == nil {
		*s = sizeJSON{Shortest: n}
		return nil
	}
	var o struct {
		Shortest *int `json:"shortest_edge"`
		Longest  *int `json:"longest_edge"`
		Height   *int `json:"height"`
		Width    *int `json:"width"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	switch {
	case o.Longest != nil:
		return fmt.Errorf("longest_edge is not supported")
	case o.Shortest != nil:
		*s = sizeJSON{Shortest: *o.Shortest}
	case o.Height != nil && o.Width != nil:
		*s = sizeJSON{Height: *o.Height, Width: *o.Width}
	default:
		return fmt.Errorf("needs shortest_edge, or height and width")
	}
	return nil
}

// imageProcJSON is preprocessor_config.json; absent fields keep CLIP's defaults.
type imageProcJSON struct {
	Type          string    `json:"image_processor_type"`
	FeatureType   string    `json:"feature_extractor_type"`
	DoResize      *bool     `json:"do_resize"`
	Size          *sizeJSON `json:"size"`
	Resample      *Resample `json:"resample"`
	DoCenterCrop  *bool     `json:"do_center_crop"`
	Crop          *sizeJSON `json:"crop_size"`
	DoRescale     *bool     `json:"do_rescale"`
	RescaleFactor *float64  `json:"rescale_factor"`
	DoNormalize   *bool     `json:"do_normalize"`
	Mean          []float32 `json:"image_mean"`
	Std           []float32 `json:"image_std"`
	DoPad         *bool     `json:"do_pad"`
}

func parseImageProcessor(b []byte) (ImageProcessor, error) {
	var j imageProcJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	kind := j.Type
	if kind == "" {
		kind = j.FeatureType
	}
	switch kind {
	case "", "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor":
	default:
		return nil, fmt.Errorf("image_processor_type %q is not supported, only CLIPImageProcessor", kind)
	}
	if j.DoPad != nil && *j.DoPad {
		return nil, errors.New("do_pad is not supported")
	}
	p := CLIPImageProcessor(224)
	setBool(&p.DoResize, j.DoResize)
	setBool(&p.DoCenterCrop, j.DoCenterCrop)
	setBool(&p.DoRescale, j.DoRescale)
	setBool(&p.DoNormalize, j.DoNormalize)
	if j.Size != nil {
		p.ShortestEdge, p.Height, p.Width = j.Size.Shortest, j.Size.Height, j.Size.Width
	}
	if j.Crop != nil {
		p.CropHeight, p.CropWidth = j.Crop.Height, j.Crop.Width
		if j.Crop.Shortest > 0 { // a bare number is a square here
			p.CropHeight, p.CropWidth = j.Crop.Shortest, j.Crop.Shortest
		}
	}
	if j.Resample != nil {
		p.Resample = *j.Resample
	}
	if j.RescaleFactor != nil {
		p.RescaleFactor = *j.RescaleFactor
	}
	if j.Mean != nil && len(j.Mean) != 3 || j.Std != nil && len(j.Std) != 3 {
		return nil, fmt.Errorf("image_mean and image_std need 3 values, found %d and %d", len(j.Mean), len(j.Std))
	}
	copy(p.Mean[:], j.Mean)
	copy(p.Std[:], j.Std)
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

func setBool(dst *bool, src *bool) {
	if src != nil {
		*dst = *src
	}
}

// maxSide bounds configured sides, so that a mistyped size fails at once.
const maxSide = 1 << 14

func (p *CLIPProcessor) validate() error {
	if _, _, err := filterOf(p.Resample); err != nil && p.Resample != Nearest {
		return err
	}
	if h, w := p.Size(); h <= 0 || w <= 0 || h > maxSide || w > maxSide {
		return fmt.Errorf("size and crop_size do not fix the picture's size: %d×%d pixels (each side must be 1 to %d)", h, w, maxSide)
	}
	if p.DoResize && (p.ShortestEdge < 0 || p.ShortestEdge > maxSide || p.ShortestEdge == 0 && (p.Height <= 0 || p.Width <= 0)) {
		return fmt.Errorf("size: %d or %d×%d pixels is out of range", p.ShortestEdge, p.Height, p.Width)
	}
	for _, s := range p.Std {
		if p.DoNormalize && !(s > 0) {
			return fmt.Errorf("image_std %v: each value must be positive", p.Std)
		}
	}
	return nil
}

// Size is the height and width of the pixels every picture becomes; 0, 0 when
// the configuration leaves it to the picture.
func (p *CLIPProcessor) Size() (h, w int) {
	switch {
	case p.DoCenterCrop:
		return p.CropHeight, p.CropWidth
	case p.DoResize && p.ShortestEdge == 0:
		return p.Height, p.Width
	}
	return 0, 0
}

// Process shows transparent pictures on white, as transformers 5 does (older
// releases dropped alpha), and gives img as float32 [3, h, w] with h, w from Size, channels R, G, B.
func (p *CLIPProcessor) Process(img image.Image) (Image, error) {
	if img.Bounds().Empty() {
		return Image{}, errors.New("image is empty")
	}
	rgb := overWhite(img)
	if p.DoResize {
		w, h := p.target(rgb.W, rgb.H)
		if int64(w)*int64(h) > MaxImagePixels {
			return Image{}, fmt.Errorf("image of %d×%d pixels would be resized to %d×%d, more than %d pixels", rgb.W, rgb.H, w, h, MaxImagePixels)
		}
		var err error
		if rgb, err = Resize(rgb, w, h, p.Resample); err != nil {
			return Image{}, err
		}
	}
	if p.DoCenterCrop {
		rgb = centerCrop(rgb, p.CropWidth, p.CropHeight)
	}
	return Image{Pixels: p.normalize(rgb)}, nil
}

// target is the size after resizing; the longer side is rounded down.
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

// centerCrop cuts w × h pixels from the middle; what lies outside is black.
func centerCrop(img RGB, w, h int) RGB {
	if w == img.W && h == img.H {
		return img
	}
	left, top := cropStart(img.W, w), cropStart(img.H, h)
	out := RGB{make([]byte, 3*w*h), w, h}
	for y := range h {
		sy := y + top
		if sy < 0 || sy >= img.H {
			continue
		}
		lo, hi := max(0, -left), min(w, img.W-left)
		copy(out.Pix[3*(y*w+lo):3*(y*w+hi)], img.Pix[3*(sy*img.W+lo+left):])
	}
	return out
}

// cropStart is where the crop begins in the image; rounded down either way,
// which for padding gives the odd pixel to the front.
func cropStart(have, want int) int {
	return int(math.Floor(float64(have-want) / 2))
}

// normalize tabulates the 256 possible results per channel, in float32 steps
// like the reference: x·factor, then (x − mean)/std.
func (p *CLIPProcessor) normalize(img RGB) []float32 {
	var table [3][256]float32
	for c := range table {
		for v := range table[c] {
			x := float32(v)
			if p.DoRescale {
				x = float32(float64(v) * p.RescaleFactor)
			}
			if p.DoNormalize {
				x = (x - p.Mean[c]) / p.Std[c]
			}
			table[c][v] = x
		}
	}
	n := img.W * img.H
	out := make([]float32, 3*n)
	for i := range n {
		out[i] = table[0][img.Pix[3*i]]
		out[n+i] = table[1][img.Pix[3*i+1]]
		out[2*n+i] = table[2][img.Pix[3*i+2]]
	}
	return out
}

// Denormalize turns pixels [3, h, w] with h, w from Size back into a picture.
func (p *CLIPProcessor) Denormalize(in Image) (*image.RGBA, error) {
	pixels := in.Pixels
	h, w := p.Size()
	n := h * w
	if len(pixels) != 3*n {
		return nil, fmt.Errorf("%d pixel values, a %d×%d picture has %d", len(pixels), h, w, 3*n)
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range n {
		for c := range 3 {
			x := float64(pixels[c*n+i])
			if p.DoNormalize {
				x = x*float64(p.Std[c]) + float64(p.Mean[c])
			}
			if p.DoRescale {
				x /= p.RescaleFactor
			}
			img.Pix[4*i+c] = byte(math.Round(max(0, min(255, x))))
		}
		img.Pix[4*i+3] = 255
	}
	return img, nil
}

// Write stores the processor as dir/preprocessor_config.json for transformers'
// CLIPImageProcessor.
func (p *CLIPProcessor) Write(dir string) error {
	if err := p.validate(); err != nil {
		return err
	}
	size := map[string]int{"shortest_edge": p.ShortestEdge}
	if p.ShortestEdge == 0 {
		size = map[string]int{"height": p.Height, "width": p.Width}
	}
	return writeJSON(filepath.Join(dir, "preprocessor_config.json"), map[string]any{
		"image_processor_type": "CLIPImageProcessor",
		"do_convert_rgb":       true,
		"do_resize":            p.DoResize,
		"size":                 size,
		"resample":             p.Resample,
		"do_center_crop":       p.DoCenterCrop,
		"crop_size":            map[string]int{"height": p.CropHeight, "width": p.CropWidth},
		"do_rescale":           p.DoRescale,
		"rescale_factor":       p.RescaleFactor,
		"do_normalize":         p.DoNormalize,
		"image_mean":           p.Mean,
		"image_std":            p.Std,
	})
}
