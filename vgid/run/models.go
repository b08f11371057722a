package run

import (
	"context"
	"errors"
	"fmt"

	"vgid/model"
	"vgid/model/hf"
	"vgid/model/hub"
	"vgid/vgid/run/preflight"
	"vgid/vgid/train"
)

// load loads the model of a folder on every rank: one may read from a colder disk than
// another. All ranks call it.
// The model is the caller's to close; on a rank whose own loading succeeded while
// another's failed it is closed here, and the error says whose it was.
func load(ctx context.Context, j *Job, dir string) (m *model.Model, err error) {
	err = j.ranks.Each(ctx, func(ctx context.Context) (err error) {
		m, err = model.LoadDir(ctx, j.Backend, j.inputs.Folder(dir), model.LoadOptions{Weights: j.Config.Model.Weights})
		return err
	})
	if err != nil && m != nil {
		m.Close()
	}
	return m, err
}

// count loads the model of a folder onto a device that counts memory, with what makes
// prompts and pictures into its inputs.
// The device itself is only asked how it works, and holds nothing of the model.
func count(ctx context.Context, j *Job, dir string) (*preflight.Counting, *train.Encoder, error) {
	// The same folder as the model will be loaded from: its headers and tokenizer are
	// read once for both.
	folder := j.inputs.Folder(dir)
	m, err := preflight.Count(ctx, j.Backend, folder, model.LoadOptions{Weights: j.Config.Model.Weights})
	if err != nil {
		return nil, nil, err
	}
	enc, err := train.NewEncoder(folder, m.Model, j.Config.Prompt)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, enc, nil
}

// save writes the stage's model, with an adapter also on its own in PEFT's
// format and merged into the weights in the model folder. All ranks call it.
//
// Only rank 0 writes: all ranks hold the same weights. adapter is the path of the
// adapter's folder, "" without one, equal on all ranks.
func (w *work) save(ctx context.Context) (adapter string, err error) {
	if err := w.unchanged(ctx); err != nil { // assets and weights are copied from there
		return "", err
	}
	j, from := w.j, w.From.Path()
	// The adapter first: where the merged model does not fit its type, it is kept.
	if w.model.Adapter() != nil {
		adapter = j.dir.Path(w.Name, "adapter")
	}
	return adapter, j.ranks.OnRank0(ctx, func() error {
		if adapter != "" {
			err := hf.ReplaceFolder(adapter, func(dir string) error { return w.model.SaveAdapter(dir, hub.Name(from)) })
			if err != nil {
				return err
			}
		}
		return hf.ReplaceFolder(j.dir.Path(w.Name, "model"), func(dir string) error {
			if err := hf.CopyAssets(dir, from); err != nil {
				return err
			}
			err := w.model.Save(dir, model.SaveOptions{DType: j.Config.Model.DType, Merge: true})
			var unfit *hf.UnfitError
			if errors.As(err, &unfit) {
				err = fmt.Errorf("%s: %w (model.dtype)", w.Name, err)
				if adapter != "" {
					err = fmt.Errorf("%w; the adapter by itself is kept in %s", err, adapter)
				}
			}
			return err
		})
	})
}
