package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"vgid/model/family"
	_ "vgid/model/family/all" // so that every family's config.json is read
	"vgid/model/hf"
	"vgid/model/nn"
)

// What a model is described by and reads, of package family.
type (
	Config       = family.Config
	Sequence     = family.Sequence
	TextConfig   = nn.TextConfig
	VisionConfig = nn.VisionConfig
	RoPE         = nn.RoPE
)

// ReadConfig reads config.json of a model folder.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, hf.NoConfig(dir)
	}
	if err != nil {
		return nil, err
	}
	c, err := family.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
