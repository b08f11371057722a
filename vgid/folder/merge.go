package folder

import (
	"context"
	"fmt"
	"os"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
)

// MergeOptions belong to Merge.
// The zero value merges without changing types or files.
type MergeOptions struct {
	DType         string // of the written weights; empty keeps that of each tensor
	MaxShardBytes int64  // of a file, when positive; otherwise as the model is sharded
	AnyBase       bool   // take an adapter that says it was made for another base
}

// NotEmptyError is the refusal to write a model where there are files already.
type NotEmptyError struct{ Dir string }

func (e *NotEmptyError) Error() string {
	return e.Dir + ": the folder exists and is not empty; choose another"
}

// Merge adds the PEFT adapter of a folder to the weights of the model it was
// trained on and writes the result as a model folder, with everything else the
// model's folder holds. Tensors pass through one after the other, a few rows at
// a time. The folder appears whole or not at all; one with files in it is a *NotEmptyError.
//
// What is written is round(W + BA·s) to the tensor's type, as PEFT's merge_and_unload gives
// it, and not W + round(BA·s), which is what its safe_merge gives.
func Merge(ctx context.Context, d *modeldir.Dir, adapter, out string, o MergeOptions) error {
	if files, err := os.ReadDir(out); err == nil && len(files) > 0 {
		return &NotEmptyError{out}
	}
	be := cpu.New(0)
	defer be.Close()
	// Lazy: a weight is read when it is written out, so a model larger than memory can be merged.
	m, err := model.LoadDir(ctx, be, d, model.LoadOptions{Lazy: true})
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.LoadAdapter(adapter, model.AdapterOptions{AnyBase: o.AnyBase}); err != nil {
		return err
	}
	return hf.ReplaceFolder(out, func(to string) error {
		if err := hf.CopyAssets(to, d.Path()); err != nil {
			return err
		}
		err := m.Save(to, model.SaveOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes, Merge: true})
		if err != nil {
			return fmt.Errorf("merge of %s into %s: %w", adapter, d.Path(), err)
		}
		return nil
	})
}
