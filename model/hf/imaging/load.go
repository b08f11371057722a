package imaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/model/kit/plainjson"
)

// LoadProcessor reads the image processor of a model's folder in the order of
// transformers 5.23 (image_processing_base.py): image_processor of
// processor_config.json where that has one, all of it, else
// preprocessor_config.json. The class is the one named there, else that of
// config.json's model_type.
func LoadProcessor(dir string) (Processor, error) {
	b, path, err := processorJSON(dir)
	if err != nil {
		return nil, err
	}
	model, err := modelType(dir)
	if err != nil {
		return nil, err
	}
	p, err := parseImageProcessor(b, model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// processorJSON is the configuration that counts, and the file it is in.
func processorJSON(dir string) (b []byte, path string, err error) {
	path = filepath.Join(dir, "processor_config.json")
	var whole struct {
		Image json.RawMessage `json:"image_processor"`
	}
	if err := readJSON(path, &whole); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if len(whole.Image) > 0 && string(whole.Image) != "null" {
		return whole.Image, path, nil
	}
	path = filepath.Join(dir, "preprocessor_config.json")
	b, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%s: neither an image_processor in processor_config.json nor a preprocessor_config.json: a model's folder holds one of them", dir)
	}
	return b, path, err
}

// modelType is that of config.json, "" where there is none.
// A folder of an image processor alone has no config.json.
func modelType(dir string) (string, error) {
	var c struct {
		Model string `json:"model_type"`
	}
	err := readJSON(filepath.Join(dir, "config.json"), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return c.Model, err
}

// readJSON names the file in its errors, unless it cannot be opened, which the system's error
// does.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := plainjson.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
