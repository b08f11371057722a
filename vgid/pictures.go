package vgid

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"vgid/eval"
	"vgid/model/hf/imaging"
	"vgid/vgid/data"
)

// lookAt decodes every picture of the profiles that no earlier call has decoded,
// each rank its share: a corrupt one ends a run before its hours of training, and
// not in the evaluation after them. All ranks call it.
func (j *Job) lookAt(ctx context.Context, groups ...[]data.Profile) error {
	var fresh []*data.Image
	for _, profiles := range groups {
		for i := range profiles {
			for k := range profiles[i].Images {
				// The sets of a benchmark hold the same pictures again.
				img := &profiles[i].Images[k]
				sum := sha256.Sum256(img.Bytes)
				if !j.looked[sum] {
					if j.looked == nil {
						j.looked = map[[sha256.Size]byte]bool{}
					}
					j.looked[sum] = true
					fresh = append(fresh, img)
				}
			}
		}
	}
	_, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
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

// lookAtSets is lookAt for the people who are asked about.
func (j *Job) lookAtSets(ctx context.Context, sets []eval.Set) error {
	var groups [][]data.Profile
	for _, s := range sets {
		groups = append(groups, s.Profiles)
	}
	return j.lookAt(ctx, groups...)
}
