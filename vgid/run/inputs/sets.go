package inputs

import (
	"context"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/vgid/origin"
)

// Sets reads the people who are asked about, and fingerprints what they are
// read from. All ranks call it.
func (in *Inputs) Sets(ctx context.Context, p *People, names []string, people int) (sets []eval.Set, files origin.List, err error) {
	files, err = in.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		sets, err = eval.ReadSets(b, eval.People{Sets: names, Forget: in.Config.Data.Forget, Retain: p.RetainSplit, Most: people})
		return err
	})
	return sets, files, err
}
