package inputs

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"vgid/model/hub"
)

// fetch brings a model that is named ORG/NAME into the cache of every worker's
// machine, and checks that all got the same commit. All ranks call it.
func (in *Inputs) fetch(ctx context.Context, ref string) (string, error) {
	var dir string
	commits, err := in.Ranks.Barrier(ctx, func(ctx context.Context) (commit []byte, err error) {
		dir, err = hub.Folder(ctx, ref, hub.Whole, lines(in.Say))
		return []byte(filepath.Base(dir)), err
	})
	if err != nil {
		return "", err
	}
	for r, c := range commits {
		if !bytes.Equal(c, commits[0]) {
			return "", fmt.Errorf("model %s changed on the hub meanwhile: rank 0 got commit %s, rank %d commit %s; name one of them, %s@%s",
				ref, commits[0], r, c, strings.Split(ref, "@")[0], commits[0])
		}
	}
	return dir, nil
}

// lines writes what is written to it to a run's user.
type lines func(format string, args ...any)

func (say lines) Write(b []byte) (int, error) {
	say("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
