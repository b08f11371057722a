package model

import (
	"fmt"
	"path/filepath"

	"vgid/model/family"
	_ "vgid/model/family/all" // so that every family's config.json is read
	"vgid/model/hf/modeldir"
)

// What a model is described by and reads, of package family.
type (
	Config   = family.Config
	Sequence = family.Sequence
)

// ReadConfig reads config.json of a model folder.
func ReadConfig(dir string) (*Config, error) { return ConfigOf(modeldir.Open(dir)) }

// ConfigOf reads config.json of an open model folder.
func ConfigOf(d *modeldir.Dir) (*Config, error) {
	data, err := d.Config()
	if err != nil {
		return nil, err
	}
	c, err := family.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(d.Path(), "config.json"), err)
	}
	return c, nil
}
