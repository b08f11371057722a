package vgid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"vgid/model"
	"vgid/model/cpu"
)

// Merge adds the PEFT adapter of a folder to the weights of the model it was
// trained on and writes the result as a model folder. dtype is that of the
// written weights; empty keeps the model's.
func Merge(ctx context.Context, dir, adapter, out, dtype string) error {
	be := cpu.New(0)
	defer be.Close()
	m, err := model.Load(ctx, be, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.LoadAdapter(adapter); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return fmt.Errorf("%w; an adapter fits the model it was trained on, which %s is not", err, dir)
	}
	if err := m.MergeLoRA(); err != nil {
		return err
	}
	if dtype == "" {
		dtype = m.Config.DType
	}
	if err := m.Save(out, model.SaveOptions{DType: dtype}); err != nil {
		return err
	}
	return copyAssets(out, dir)
}
