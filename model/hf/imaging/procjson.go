package imaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"vgid/model/hf"
	"vgid/model/hf/plainjson"
)

// procJSON is preprocessor_config.json; absent fields keep the defaults of the
// class it names.
type procJSON struct {
	Type          string    `json:"image_processor_type"`
	FeatureType   string    `json:"feature_extractor_type"`
	DoConvertRGB  *bool     `json:"do_convert_rgb"`
	DoResize      *bool     `json:"do_resize"`
	Size          *sizeJSON `json:"size"`
	Resample      *Resample `json:"resample"`
	DoCenterCrop  *bool     `json:"do_center_crop"`
	Crop          *sizeJSON `json:"crop_size"`
	DoPad         *bool     `json:"do_pad"`
	DoRescale     *bool     `json:"do_rescale"`
	RescaleFactor *float64  `json:"rescale_factor"`
	DoNormalize   *bool     `json:"do_normalize"`
	Mean          []float32 `json:"image_mean"`
	Std           []float32 `json:"image_std"`
	MinPixels     *int      `json:"min_pixels"`
	MaxPixels     *int      `json:"max_pixels"`
	Patch         *int      `json:"patch_size"`
	Temporal      *int      `json:"temporal_patch_size"`
	Merge         *int      `json:"merge_size"`
}

// sizeJSON is a size as a bare number or by its keys.
type sizeJSON struct {
	Number    *int `json:"-"`
	Shortest  *int `json:"shortest_edge"`
	Longest   *int `json:"longest_edge"`
	Height    *int `json:"height"`
	Width     *int `json:"width"`
	MinPixels *int `json:"min_pixels"`
	MaxPixels *int `json:"max_pixels"`
}

func (s *sizeJSON) UnmarshalJSON(b []byte) error {
	var n int
	if json.Unmarshal(b, &n) == nil {
		*s = sizeJSON{Number: &n}
		return nil
	}
	type plain sizeJSON
	return json.Unmarshal(b, (*plain)(s))
}

// parseImageProcessor picks the processor by its class. The suffixes Fast and
// Pil choose an implementation of the same class; all mean Pillow's here.
func parseImageProcessor(b []byte) (Processor, error) {
	var j procJSON
	if err := plainjson.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	if j.DoConvertRGB != nil && !*j.DoConvertRGB {
		return nil, errors.New("do_convert_rgb false is not supported: pictures are always converted to RGB")
	}
	kind := j.Type
	if kind == "" {
		kind = j.FeatureType
	}
	switch base := strings.TrimSuffix(strings.TrimSuffix(kind, "Fast"), "Pil"); {
	case base == "CLIPImageProcessor", base == "CLIPFeatureExtractor", base == "" && j.Merge == nil:
		if j.DoPad != nil && *j.DoPad {
			return nil, errors.New("do_pad is not supported for CLIPImageProcessor, only for LlavaImageProcessor")
		}
		return j.clip()
	case base == "LlavaImageProcessor":
		return j.clip()
	case base == "Qwen2VLImageProcessor", base == "Qwen2_5_VLImageProcessor", base == "":
		return j.qwen()
	}
	return nil, fmt.Errorf("image_processor_type %q is not supported, only CLIPImageProcessor, LlavaImageProcessor and Qwen2VLImageProcessor", kind)
}

func (j *procJSON) clip() (Processor, error) {
	p := NewCLIP(224)
	set(&p.DoResize, j.DoResize)
	set(&p.DoCenterCrop, j.DoCenterCrop)
	set(&p.PadToSquare, j.DoPad)
	set(&p.Resample, j.Resample)
	if s := j.Size; s != nil {
		p.ShortestEdge = 0
		switch {
		case s.Longest != nil:
			return nil, errors.New("size: longest_edge is not supported for CLIPImageProcessor")
		case s.Number != nil:
			p.ShortestEdge = *s.Number
		case s.Shortest != nil:
			p.ShortestEdge = *s.Shortest
		case s.Height != nil && s.Width != nil:
			p.Height, p.Width = *s.Height, *s.Width
		default:
			return nil, errors.New("size: needs shortest_edge, or height and width")
		}
	}
	if s := j.Crop; s != nil {
		switch {
		case s.Number != nil: // a bare number is a square here
			p.CropHeight, p.CropWidth = *s.Number, *s.Number
		case s.Height != nil && s.Width != nil:
			p.CropHeight, p.CropWidth = *s.Height, *s.Width
		default:
			return nil, errors.New("crop_size: needs height and width")
		}
	}
	if err := j.scale(&p.PixelScale); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

func (j *procJSON) qwen() (Processor, error) {
	p := NewQwen2VL()
	set(&p.DoResize, j.DoResize)
	set(&p.Resample, j.Resample)
	set(&p.Patch, j.Patch)
	set(&p.Merge, j.Merge)
	set(&p.Temporal, j.Temporal)
	if s := j.Size; s != nil {
		if s.Number != nil || s.Height != nil || s.Width != nil {
			return nil, errors.New("size: Qwen2VLImageProcessor takes shortest_edge and longest_edge, both counts of pixels")
		}
		set(&p.MinPixels, s.MinPixels)
		set(&p.MaxPixels, s.MaxPixels)
		set(&p.MinPixels, s.Shortest)
		set(&p.MaxPixels, s.Longest)
	}
	set(&p.MinPixels, j.MinPixels) // the older spelling, which wins
	set(&p.MaxPixels, j.MaxPixels)
	if err := j.scale(&p.PixelScale); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

func (j *procJSON) scale(s *PixelScale) error {
	set(&s.DoRescale, j.DoRescale)
	set(&s.RescaleFactor, j.RescaleFactor)
	set(&s.DoNormalize, j.DoNormalize)
	if j.Mean != nil && len(j.Mean) != 3 || j.Std != nil && len(j.Std) != 3 {
		return fmt.Errorf("image_mean and image_std need 3 values, found %d and %d", len(j.Mean), len(j.Std))
	}
	copy(s.Mean[:], j.Mean)
	copy(s.Std[:], j.Std)
	return nil
}

// set overwrites a default with a field that is there.
func set[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

// Write stores the processor as dir/preprocessor_config.json for transformers'
// CLIPImageProcessor.
func (p *CLIPProcessor) Write(dir string) error {
	if err := p.validate(); err != nil {
		return err
	}
	if p.PadToSquare {
		return errors.New("a CLIPImageProcessor does not pad to a square")
	}
	size := map[string]int{"shortest_edge": p.ShortestEdge}
	if p.ShortestEdge == 0 {
		size = map[string]int{"height": p.Height, "width": p.Width}
	}
	return hf.WriteJSON(filepath.Join(dir, "preprocessor_config.json"), map[string]any{
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
