package model

import (
	"errors"
	"fmt"

	"vgid/model/adapter"
)

// How an adapter is attached and loaded, of package adapter.
type (
	LoRAConfig     = adapter.Config
	AdapterOptions = adapter.Options
)

// AddLoRA attaches an adapter to the linear layers that c.Targets name and
// trains it. It returns the modules' names. Optimizers made before are void.
func (m *Model) AddLoRA(c LoRAConfig) ([]string, error) {
	if m.adapter != nil {
		return nil, fmt.Errorf("lora: %w", errAdapted)
	}
	a, err := adapter.Attach(m.Set, c)
	if err != nil {
		return nil, err
	}
	m.adapter = a
	return a.Modules(), nil
}

var errAdapted = errors.New("the model has an adapter already; merge it first")

// LoadAdapter attaches the adapter of a PEFT folder and trains it. It returns the
// names of the modules that it trains.
func (m *Model) LoadAdapter(dir string, o AdapterOptions) ([]string, error) {
	if m.adapter != nil {
		return nil, fmt.Errorf("%s: %w", dir, errAdapted)
	}
	a, err := adapter.Load(m.Set, dir, o)
	if err != nil {
		return nil, err
	}
	m.adapter = a
	return a.Modules(), nil
}

// SaveAdapter writes the adapter as a PEFT folder for the base model of that
// name or path.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.adapter == nil {
		return fmt.Errorf("%s: the model has no adapter to save", dir)
	}
	return m.adapter.Save(dir, base)
}

// MergeLoRA adds the branches to the weights they belong to, which become
// float32, and removes them. Save writes the sum without taking that memory.
func (m *Model) MergeLoRA() error {
	if m.adapter == nil {
		return fmt.Errorf("lora: the model has no adapter to merge")
	}
	if err := m.adapter.Merge(); err != nil {
		return err
	}
	m.adapter = nil
	return nil
}

// Adapter is the adapter, nil without one.
func (m *Model) Adapter() *adapter.Adapter { return m.adapter }
