package inputs

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/vgid/ask"
	"vgid/vgid/config"
	"vgid/vgid/origin"
)

// People are the persons of a run, with their training questions.
// All ranks hold the same, in the order of the files; Forget and Retain share no question of
// one person with the same picture (disjoint).
type People struct {
	Benchmark      *dataset.Benchmark
	Forget, Retain []dataset.Profile
	RetainSplit    string

	forgetFiles, retainFiles origin.List // what they were read from
}

// People reads the configured splits. All ranks call it.
func (in *Inputs) People(ctx context.Context) (*People, error) {
	p := &People{}
	var err error
	if p.RetainSplit, err = retainSplit(in.Config.Data); err != nil {
		return nil, err
	}
	if p.Benchmark, err = in.benchmark(ctx); err != nil {
		return nil, err
	}
	// The two are fingerprinted apart: gold is of the retain set alone, and stays when
	// the forget set is another.
	p.forgetFiles, err = in.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		p.Forget, err = b.Training(in.Config.Data.Forget, p.RetainSplit)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.retainFiles, err = in.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		p.Retain, err = b.Training(p.RetainSplit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, p.disjoint(in.Config.Data.Forget)
}

// disjoint refuses sets that ask for the same answer to be forgotten and kept.
// One person in both is fine as long as pictures or questions differ.
func (p *People) disjoint(forget string) error {
	kept := map[string]*dataset.Profile{}
	for i := range p.Retain {
		kept[p.Retain[i].ID] = &p.Retain[i]
	}
	for _, f := range p.Forget {
		r := kept[f.ID]
		// Encoded pictures are compared: two that decode alike but are stored in other
		// bytes are taken for different ones.
		if r == nil || !slices.ContainsFunc(f.Images, func(x dataset.Image) bool {
			return slices.ContainsFunc(r.Images, func(y dataset.Image) bool { return bytes.Equal(x.Bytes, y.Bytes) })
		}) {
			continue
		}
		if i := slices.IndexFunc(f.Train, func(q dataset.QA) bool { return slices.Contains(r.Train, q) }); i >= 0 {
			return fmt.Errorf("person %s, question %q: it is in %s and in %s with the same image, so it would be forgotten and retained; choose other sets in data.forget and data.retain", f.ID, ask.Clip(f.Train[i].Question), forget, p.RetainSplit)
		}
	}
	return nil
}

// Files are what the people of a stage's training were read from.
func (p *People) Files(stage string) origin.List {
	if stage == eval.Gold {
		return p.retainFiles
	}
	return origin.Union(p.forgetFiles, p.retainFiles)
}

// retainSplit is the configured retain split, or the complement of forget.
// Percentages are those of MLLMU-Bench: forget_N and retain_(100-N) together are everybody.
func retainSplit(c config.Data) (string, error) {
	if c.Retain != "" {
		return c.Retain, nil
	}
	var percent int
	if _, err := fmt.Sscanf(c.Forget, "forget_%d", &percent); err != nil || percent <= 0 || percent >= 100 {
		return "", fmt.Errorf("data.retain is empty and data.forget: %q is not forget_N, so it cannot be derived: set data.retain", c.Forget)
	}
	return fmt.Sprintf("retain_%d", 100-percent), nil
}
