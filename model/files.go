package model

import (
	"context"
	"fmt"
	"os"

	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
	"vgid/model/params"
	"vgid/model/tape"
)

// How weights are kept and written, of package params.
type (
	LoadOptions = params.LoadOptions
	SaveOptions = params.SaveOptions
)

// Load is LoadAs without options.
func Load(ctx context.Context, be backend.Backend, dir string) (*Model, error) {
	return LoadAs(ctx, be, dir, LoadOptions{})
}

// LoadAs is LoadDir of the folder at a path.
func LoadAs(ctx context.Context, be backend.Backend, dir string, o LoadOptions) (*Model, error) {
	d := modeldir.Open(dir)
	defer d.Close()
	return LoadDir(ctx, be, d, o)
}

// LoadDir reads a model folder of transformers 4 or 5. On a backend that adopts
// memory the files stay mapped until Close, also when the folder is closed before,
// and must not be changed in place. Errors name the file and tensor.
func LoadDir(ctx context.Context, be backend.Backend, d *modeldir.Dir, o LoadOptions) (*Model, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c, err := ConfigOf(d)
	if err != nil {
		return nil, err
	}
	files, err := d.Weights()
	if err != nil {
		return nil, err
	}
	m, err := assemble(be, c)
	if err != nil {
		files.Close()
		return nil, fmt.Errorf("%s: %w", d.Path(), err)
	}
	if err := m.Set.Load(ctx, d.Path(), files, o); err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", d.Path(), err)
	}
	return m, nil
}

// Layout reads a model folder's headers: the result has every weight's shape
// and no value, and cannot run. It may be given an adapter and be told what to
// train, to see what that would be.
func Layout(ctx context.Context, d *modeldir.Dir) (*Model, error) {
	return LoadDir(ctx, countOnly(), d, LoadOptions{})
}

// countOnly is a device that keeps no contents.
func countOnly() backend.Backend {
	be, _ := dry.New(dry.Options{})
	return be
}

// Save writes config.json, generation_config.json and the weights to dir,
// which it makes when it does not exist, under the names of the files the model
// came from. Tensors are made one after the other, so little memory is needed.
// Every file appears whole or not at all, config.json last. A model with an
// adapter is refused unless it is to be merged.
func (m *Model) Save(dir string, o SaveOptions) error {
	if _, err := o.FileDType(); err != nil {
		return err
	}
	branch := func(*params.Weight) *tape.LoRA { return nil }
	if m.adapter != nil {
		if !o.Merge {
			return fmt.Errorf("%s: the model has an adapter; merge it or save the adapter", dir)
		}
		branch = m.adapter.Branch
	}
	return m.Set.Save(dir, o, branch)
}

// WriteRandom writes a model folder of the weights that New draws, tensor by
// tensor, so that it takes little memory whatever the model's size: config.json,
// generation_config.json and the weights in o's type and shards. There is no
// tokenizer.
func WriteRandom(ctx context.Context, dir string, c *Config, seed uint64, o SaveOptions) error {
	m, err := assemble(countOnly(), c)
	if err != nil {
		return err
	}
	dtype, err := o.FileDType()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := hf.WriteShards(dir, hf.Shards(m.Drawn(ctx, seed, dtype), o.MaxShardBytes)); err != nil {
		return err
	}
	return m.SaveConfig(dir, o)
}
