package inputs

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

// Verify decodes every picture of the profiles that no earlier call has decoded,
// each rank its share: a corrupt one ends a run before its hours of training, and
// not in the evaluation after them. All ranks call it.
func (in *Inputs) Verify(ctx context.Context, groups ...[]dataset.Profile) error {
	var todo []*dataset.Image
	for _, profiles := range groups {
		for i := range profiles {
			for k := range profiles[i].Images {
				if img := &profiles[i].Images[k]; in.fresh(img) {
					todo = append(todo, img)
				}
			}
		}
	}
	return in.Ranks.Each(ctx, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i := in.Ranks.Rank(); i < len(todo); i += in.Ranks.Size() {
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				if _, err := imaging.Decode(todo[i].Bytes, todo[i].Where); err != nil {
					return fmt.Errorf("%w; fetch or build the file again", err)
				}
				return nil
			})
		}
		return g.Wait()
	})
}

// fresh reports whether a picture is new, and remembers it: by its place, since
// the stages of a run read the same files, and by its bytes, since the sets of a
// benchmark hold the same pictures again.
func (in *Inputs) fresh(img *dataset.Image) bool {
	if in.verified[img.Where] {
		return false
	}
	in.verified[img.Where] = true
	// The keys of both kinds are in one map: no place is spelled as 32 bytes of a digest.
	sum := sha256.Sum256(img.Bytes)
	seen := in.verified[string(sum[:])]
	in.verified[string(sum[:])] = true
	return !seen
}

// VerifySets is Verify for the people who are asked about.
func (in *Inputs) VerifySets(ctx context.Context, sets []eval.Set) error {
	var groups [][]dataset.Profile
	for _, s := range sets {
		groups = append(groups, s.Profiles)
	}
	return in.Verify(ctx, groups...)
}
