package inputs

import (
	"context"
	"fmt"

	"vgid/model/hf/modeldir"
	"vgid/vgid/origin"
)

// Folder is the opened model folder at a path, the same at every call: what is read of
// it, headers, tokenizer and processor, is read once in a run, and again when its files
// are others. One that was not given open is closed with the Inputs.
func (in *Inputs) Folder(path string) *modeldir.Dir {
	for _, d := range in.Opened.Models {
		if d.Path() == path {
			return d
		}
	}
	d := in.models[path]
	if d == nil {
		d = modeldir.Open(path)
		in.models[path] = d
	}
	return d
}

// ModelFiles fingerprints a model folder, once every rank has it.
func (in *Inputs) ModelFiles(ctx context.Context, dir string) (origin.List, error) {
	if err := in.Transfer.Share(ctx, dir); err != nil {
		return nil, err
	}
	return in.Files.Agree(ctx, func() ([]origin.Source, error) { return origin.Model(dir) })
}

// Beside fingerprints a model folder, beside what else a stage reads. All ranks
// call it.
func (in *Inputs) Beside(ctx context.Context, others origin.List, dir string) (origin.List, error) {
	files, err := in.ModelFiles(ctx, dir)
	return origin.Union(others, files), err
}

// Unchanged refuses a model folder that is not as it was when a stage read it, beside
// others. All ranks call it.
func (in *Inputs) Unchanged(ctx context.Context, others origin.List, dir string, was origin.List) error {
	now, err := in.Beside(ctx, others, dir)
	if err != nil {
		return err
	}
	if c := was.Changes(now); len(c) > 0 {
		return fmt.Errorf("model folder %s was written to while it was in use: %s; put it back as it was", dir, origin.Words(c))
	}
	return nil
}
