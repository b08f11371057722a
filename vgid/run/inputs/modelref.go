package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vgid/model/hub"
	"vgid/vgid/quickstart"
	"vgid/vgid/run/barrier"
)

// Model resolves a model reference to a folder that every rank has: a built-in
// one is written into the run's folder first, one of a hub fetched into each
// machine's cache. All ranks call it.
//
// In this order: a built-in name, a folder that is there, a name on the hub. What is on the
// disk is never fetched, also where it has the form of a name.
func (in *Inputs) Model(ctx context.Context, ref string) (string, error) {
	if ref == "" {
		return "", errors.New("model.base is empty: give a Hugging Face folder, or " + quickstart.Builtin)
	}
	switch name, write, err := quickstart.Find(ref); {
	case err != nil:
		return "", err
	case name != "":
		// One rank makes it and the others get its files: equal without a comparison.
		dir := in.Dir.Path(name)
		if err := in.Ranks.OnRank0(ctx, func() error { return write(in.Backend, dir, in.Config.Seed) }); err != nil {
			return "", err
		}
		return dir, in.Transfer.Share(ctx, dir)
	}
	// It may be a model that this run made: then it lies in the run's folder, which
	// other machines do not see.
	if err := in.Transfer.Share(ctx, ref); err != nil {
		return "", err
	}
	switch k, err := in.kind(ctx, ref); {
	case err != nil:
		return "", err
	case k == aFolder:
		return ref, nil
	case k == aName:
		return in.fetch(ctx, ref)
	}
	if _, err := os.Stat(filepath.Join(ref, "adapter_config.json")); err == nil {
		return "", fmt.Errorf("model folder %s holds a PEFT adapter alone: vgid merge adds it to its base model; give the folder that makes", ref)
	}
	return "", fmt.Errorf("model folder %s: no config.json there; give a Hugging Face folder, the ORG/NAME of a model on the hub, or %s", ref, quickstart.Builtin)
}

// kind is what a reference to a model refers to.
type kind string

const (
	nothing kind = ""
	aFolder kind = "a model folder"
	aName   kind = "a name on the hub"
)

// kind finds out what a reference refers to. It has to be the same on all ranks: one
// that has a folder of that name and one that would fetch a model of that name would
// train different models. All ranks call it.
func (in *Inputs) kind(ctx context.Context, ref string) (kind, error) {
	found, err := barrier.Gather(ctx, in.Ranks, func(context.Context) (kind, error) {
		if _, err := os.Stat(filepath.Join(ref, "config.json")); err == nil {
			return aFolder, nil
		}
		if _, ok := hub.ParseRef(ref); ok {
			// A folder that is there is meant, also where it holds no model: what it
			// lacks is said, instead of something else fetched.
			if _, err := os.Stat(ref); errors.Is(err, fs.ErrNotExist) {
				return aName, nil
			}
		}
		return nothing, nil
	})
	if err != nil {
		return nothing, err
	}
	for r, f := range found {
		if f == found[0] {
			continue
		}
		with, without := 0, r
		if f == aFolder {
			with, without = r, 0
		}
		return nothing, fmt.Errorf("model folder %s is there on %s and not on %s: copy it to every machine, or keep it on a disk that all share", ref, in.Ranks.Name(with), in.Ranks.Name(without))
	}
	return found[0], nil
}
