package run

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"vgid/model/hub"
	"vgid/vgid/monitor"
)

// fetch brings a model that is named ORG/NAME into the cache of every worker's
// machine, and checks that all got the same commit. All ranks call it.
func (j *Job) fetch(ctx context.Context, ref string) (string, error) {
	var dir string
	commits, err := j.ranks.Barrier(ctx, func(ctx context.Context) (commit []byte, err error) {
		dir, err = hub.Folder(ctx, ref, hub.Whole, lines{j.Show})
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

// lines writes to a run's progress.
type lines struct{ show *monitor.Progress }

func (l lines) Write(b []byte) (int, error) {
	l.show.Printf("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
