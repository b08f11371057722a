package imaging

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"vgid/model/hf"
	"vgid/model/kit/plainjson"
)

// procJSON is preprocessor_config.json; absent fields keep the defaults of the
// class it names. A null is no absence: a switch that is null is off, and what is
// null although a switch needs it is refused, as by transformers.
// Pointers tell a field that is absent from one that is zero.
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
	Mean          channels  `json:"image_mean"`
	Std           channels  `json:"image_std"`
	MinPixels     *int      `json:"min_pixels"`
	MaxPixels     *int      `json:"max_pixels"`
	Patch         *int      `json:"patch_size"`
	Temporal      *int      `json:"temporal_patch_size"`
	Merge         *int      `json:"merge_size"`
	ToSquare      bool      `json:"default_to_square"`
	SquareSize    bool      `json:"use_square_size"`

	null map[string]bool // fields that are null
}

// channels is a value of each channel, or one for all.
// One number stands for all of them, as transformers takes it.
type channels []float32

// UnmarshalJSON takes a number for all channels, a list, or null.
func (c *channels) UnmarshalJSON(b []byte) error {
	var one *float32
	if json.Unmarshal(b, &one) == nil {
		if *c = nil; one != nil {
			*c = channels{*one, *one, *one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]float32)(c))
}

// switches turn steps of a processor on and off.
// The list in readProcJSON has the same order.
var switches = []string{"do_convert_rgb", "do_resize", "do_center_crop", "do_pad", "do_rescale", "do_normalize"}

// readProcJSON reads the fields, and which of them are null.
func readProcJSON(b []byte) (*procJSON, error) {
	var fields map[string]json.RawMessage
	if err := plainjson.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	j := &procJSON{null: map[string]bool{}}
	for name, raw := range fields {
		j.null[name] = string(raw) == "null"
	}
	if err := plainjson.Unmarshal(b, j); err != nil {
		return nil, err
	}
	for i, s := range []**bool{&j.DoConvertRGB, &j.DoResize, &j.DoCenterCrop, &j.DoPad, &j.DoRescale, &j.DoNormalize} {
		if j.null[switches[i]] && i > 0 { // without it, RGB pictures stay what they are
			*s = new(bool)
		}
	}
	return j, nil
}

// needs refuses null values of a step that is on.
// It asks for null alone: an absent field has its default.
func (j *procJSON) needs(on bool, step string, fields ...string) error {
	for _, f := range fields {
		if on && j.null[f] {
			return fmt.Errorf("%s is null, but %s needs it: give it a value, or take it out for the default", f, step)
		}
	}
	return nil
}

// sizeJSON is a size as a bare number or by its keys.
// Which of the spellings a class takes is decided by who reads it (clip, qwen).
type sizeJSON struct {
	Number    *int `json:"-"`
	Shortest  *int `json:"shortest_edge"`
	Longest   *int `json:"longest_edge"`
	Height    *int `json:"height"`
	Width     *int `json:"width"`
	MinPixels *int `json:"min_pixels"`
	MaxPixels *int `json:"max_pixels"`
}

// UnmarshalJSON takes a number or an object.
func (s *sizeJSON) UnmarshalJSON(b []byte) error {
	var n int
	if json.Unmarshal(b, &n) == nil {
		*s = sizeJSON{Number: &n}
		return nil
	}
	type plain sizeJSON
	return json.Unmarshal(b, (*plain)(s))
}

// classOf is the image processor of a model_type in config.json.
var classOf = map[string]string{"llava": "LlavaImageProcessor", "qwen2_vl": "Qwen2VLImageProcessor", "qwen2_5_vl": "Qwen2VLImageProcessor"}

// parseImageProcessor picks the processor by its class, or where none is named by
// the model. The suffixes Fast and Pil choose an implementation of the same class;
// all mean Pillow's here.
func parseImageProcessor(b []byte, model string) (Processor, error) {
	j, err := readProcJSON(b)
	if err != nil {
		return nil, err
	}
	if j.DoConvertRGB != nil && !*j.DoConvertRGB {
		return nil, errors.New("do_convert_rgb false is not supported: pictures are always converted to RGB")
	}
	kind := j.Type
	if kind == "" {
		kind = j.FeatureType
	}
	if kind == "" {
		kind = classOf[model]
	}
	switch strings.TrimSuffix(strings.TrimSuffix(kind, "Fast"), "Pil") {
	case "CLIPImageProcessor", "CLIPFeatureExtractor":
		j.DoPad = nil // the class has no such step
		return j.clip()
	case "LlavaImageProcessor":
		return j.clip()
	case "Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor":
		return j.qwen()
	case "":
		return nil, errors.New("image_processor_type is missing, and config.json's model_type is none whose image processor is known: name the class")
	}
	return nil, fmt.Errorf("image_processor_type %q is not supported, only CLIPImageProcessor, LlavaImageProcessor and Qwen2VLImageProcessor", kind)
}

// clip makes a CLIPProcessor of the fields. Sizes have been written in many ways; here
// is what each means (get_size_dict of transformers).
func (j *procJSON) clip() (Processor, error) {
	p := NewCLIP(224)
	set(&p.DoResize, j.DoResize)
	set(&p.DoCenterCrop, j.DoCenterCrop)
	set(&p.PadToSquare, j.DoPad)
	set(&p.Resample, j.Resample)
	if j.SquareSize {
		return nil, errors.New("use_square_size is not supported: give size height and width")
	}
	if err := cmp.Or(j.needs(p.DoResize, "do_resize", "size", "resample"), j.needs(p.DoCenterCrop, "do_center_crop", "crop_size")); err != nil {
		return nil, err
	}
	if s := j.Size; s != nil {
		p.ShortestEdge = 0
		switch {
		case s.Longest != nil:
			return nil, errors.New("size: longest_edge is not supported for CLIPImageProcessor")
		case s.Number != nil && j.ToSquare:
			p.Height, p.Width = *s.Number, *s.Number
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

// qwen makes a QwenProcessor of the fields.
func (j *procJSON) qwen() (Processor, error) {
	p := NewQwen2VL()
	set(&p.DoResize, j.DoResize)
	set(&p.Resample, j.Resample)
	set(&p.Patch, j.Patch)
	set(&p.Merge, j.Merge)
	set(&p.Temporal, j.Temporal)
	if err := cmp.Or(j.needs(p.DoResize, "do_resize", "resample"), j.needs(true, "the class", "patch_size", "merge_size", "temporal_patch_size")); err != nil {
		return nil, err
	}
	if s := j.Size; s != nil {
		if err := j.pixelCounts(s); err != nil {
			return nil, err
		}
		// To this class they are areas, in spite of their names.
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

// pixelCounts checks that size, with the older fields beside it, names both
// counts. Those in size itself by their older names do not count.
func (j *procJSON) pixelCounts(s *sizeJSON) error {
	switch {
	case s.Number != nil || s.Height != nil || s.Width != nil,
		s.Shortest == nil && j.MinPixels == nil, s.Longest == nil && j.MaxPixels == nil:
		return errors.New("size: Qwen2VLImageProcessor takes shortest_edge and longest_edge, both counts of pixels (or min_pixels and max_pixels beside size)")
	case s.MinPixels != nil && j.MinPixels == nil, s.MaxPixels != nil && j.MaxPixels == nil:
		return errors.New("size: min_pixels and max_pixels do not belong into size: call them shortest_edge and longest_edge there")
	}
	return nil
}

// scale reads what CLIP's and Qwen's processors share.
func (j *procJSON) scale(s *PixelScale) error {
	set(&s.DoRescale, j.DoRescale)
	set(&s.RescaleFactor, j.RescaleFactor)
	set(&s.DoNormalize, j.DoNormalize)
	if err := cmp.Or(j.needs(s.DoRescale, "do_rescale", "rescale_factor"), j.needs(s.DoNormalize, "do_normalize", "image_mean", "image_std")); err != nil {
		return err
	}
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
// What is written is read back by LoadProcessor to the same processor.
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
