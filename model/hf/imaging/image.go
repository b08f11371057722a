package imaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/model/hf/plainjson"
)

// Grid counts a picture's patches in time, down and across, before the vision
// tower merges any.
type Grid struct{ T, H, W int }

// Patches is how many patches there are.
func (g Grid) Patches() int { return g.T * g.H * g.W }

// Image is a picture as a vision tower reads it. Towers with one size of
// picture (CLIP) take planes [3, h, w] and no grid; towers with any size
// (Qwen) take patches [Grid.Patches(), 3·temporal·patch·patch].
type Image struct {
	Pixels []float32
	Grid   Grid
}

// Processor turns pictures into what a vision tower reads, as the
// reference processor that a model's folder names does.
type Processor interface {
	// Process converts one picture. Errors say what is wrong with it, not
	// where it came from.
	Process(img image.Image) (Image, error)
	// Denormalize turns an Image back into a picture, for reports; values
	// outside the range of a picture are clipped.
	Denormalize(img Image) (*image.RGBA, error)
	// Size is the height and width every picture gets; 0, 0 when each keeps
	// its own shape.
	Size() (h, w int)
}

// LoadProcessor reads preprocessor_config.json, or the image_processor in
// processor_config.json where newer releases keep it.
func LoadProcessor(dir string) (Processor, error) {
	path := filepath.Join(dir, "preprocessor_config.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(dir, "processor_config.json")
		b, err = os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: neither preprocessor_config.json nor processor_config.json found; a model's folder holds one of them", dir)
		}
		if err == nil {
			b, err = nestedProcessor(b)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p, err := parseImageProcessor(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func nestedProcessor(b []byte) ([]byte, error) {
	var o struct {
		Image json.RawMessage `json:"image_processor"`
	}
	if err := plainjson.Unmarshal(b, &o); err != nil {
		return nil, err
	}
	if len(o.Image) == 0 || string(o.Image) == "null" {
		return nil, errors.New("image_processor is missing")
	}
	return o.Image, nil
}
