package run

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/model/hf/imaging"
)

// lookAt decodes every picture of the profiles that no earlier call has decoded,
// each rank its share: a corrupt one ends a run before its hours of training, and
// not in the evaluation after them. All ranks call it.
func (j *Job) lookAt(ctx context.Context, groups ...[]dataset.Profile) error {
	var fresh []*dataset.Image
	for _, profiles := range groups {
		for i := range profiles {
			for k := range profiles[i].Images {
				if img := &profiles[i].Images[k]; j.unseen(img) {
					fresh = append(fresh, img)
				}
			}
		}
	}
	_, err := j.ranks.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i := j.Comm.Rank(); i < len(fresh); i += j.Comm.Size() {
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				if _, err := imaging.Decode(fresh[i].Bytes, fresh[i].Where); err != nil {
					return fmt.Errorf("%w; fetch or build the file again", err)
				}
				return nil
			})
		}
		return nil, g.Wait()
	})
	return err
}

// unseen reports whether a picture is new, and remembers it: by its place, since
// the stages of a run read the same files, and by its bytes, since the sets of a
// benchmark hold the same pictures again.
func (j *Job) unseen(img *dataset.Image) bool {
	if j.looked == nil {
		j.looked = map[string]bool{}
	}
	if j.looked[img.Where] {
		return false
	}
	j.looked[img.Where] = true
	sum := sha256.Sum256(img.Bytes)
	seen := j.looked[string(sum[:])]
	j.looked[string(sum[:])] = true
	return !seen
}

// lookAtSets is lookAt for the people who are asked about.
func (j *Job) lookAtSets(ctx context.Context, sets []eval.Set) error {
	var groups [][]dataset.Profile
	for _, s := range sets {
		groups = append(groups, s.Profiles)
	}
	return j.lookAt(ctx, groups...)
}
