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
func (in *Inputs) Model(ctx context.Context, ref string) (string, error) {
	made := func(name string, write func(dir string) error) (string, error) {
		dir := in.Dir.Path(name)
		if err := in.Ranks.OnRank0(ctx, func() error { return write(dir) }); err != nil {
			return "", err
		}
		return dir, in.Transfer.Share(ctx, dir)
	}
	if ref == "" {
		return "", errors.New("model.base is empty: give a Hugging Face folder, or " + quickstart.Builtin)
	}
	switch name, write, err := quickstart.Find(ref); {
	case err != nil:
		return "", err
	case name != "":
		return made(name, func(dir string) error { return write(in.Backend, dir, in.Config.Seed) })
	}
	if err := in.Transfer.Share(ctx, ref); err != nil {
		return "", err
	}
	const folder, name, nothing = "a model folder", "a name", ""
	found, err := barrier.Gather(ctx, in.Ranks, func(context.Context) (string, error) {
		if _, err := os.Stat(filepath.Join(ref, "config.json")); err == nil {
			return folder, nil
		}
		if _, ok := hub.ParseRef(ref); ok {
			if _, err := os.Stat(ref); errors.Is(err, fs.ErrNotExist) {
				return name, nil
			}
		}
		return nothing, nil
	})
	if err != nil {
		return "", err
	}
	for r, f := range found {
		if (f == folder) != (found[0] == folder) || (f == name) != (found[0] == name) {
			with, without := 0, r
			if f == folder {
				with, without = r, 0
			}
			return "", fmt.Errorf("model folder %s is there on %s and not on %s: copy it to every machine, or keep it on a disk that all share", ref, in.Ranks.Name(with), in.Ranks.Name(without))
		}
	}
	switch found[0] {
	case folder:
		return ref, nil
	case name:
		return in.fetch(ctx, ref)
	}
	if _, err := os.Stat(filepath.Join(ref, "adapter_config.json")); err == nil {
		return "", fmt.Errorf("model folder %s holds a PEFT adapter alone: vgid merge adds it to its base model; give the folder that makes", ref)
	}
	return "", fmt.Errorf("model folder %s: no config.json there; give a Hugging Face folder, the ORG/NAME of a model on the hub, or %s", ref, quickstart.Builtin)
}
