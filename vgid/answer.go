package vgid

import (
	"context"

	"vgid/eval"
	"vgid/model"
	"vgid/model/hf/imaging"
	"vgid/vgid/data"
)

// Answerer lets a model answer evaluation items: eval.Answerer.
type Answerer struct {
	Model       *model.Model
	Encoder     *Encoder
	BatchTokens int // most tokens in flight
	// Unseen, when set, are the pixels that stand for every image where all have
	// one size: for the memory of an answer it does not matter what they show.
	Unseen []float32

	// Disturb, when set, changes an item's prompt and query image before they
	// are encoded: how the teacher's answers are looked at.
	Disturb func(it *eval.Item, prompt string, images []imaging.Image) (string, error)
}

func (a *Answerer) sequence(it *eval.Item) (model.Sequence, error) {
	s := model.Sequence{Sample: uint32(it.Index)}
	for _, img := range it.Images {
		if a.Unseen != nil && a.Encoder.OneSize() {
			s.Images = append(s.Images, imaging.Image{Pixels: a.Unseen})
			continue
		}
		own, err := a.Encoder.Image(Picture{File: img})
		if err != nil {
			return s, err
		}
		s.Images = append(s.Images, own)
	}
	prompt := it.Prompt
	var err error
	if a.Disturb != nil {
		if prompt, err = a.Disturb(it, prompt, s.Images); err != nil {
			return s, err
		}
	}
	s.IDs, err = a.Encoder.Tokens(prompt, s.Images)
	return s, err
}

func (a *Answerer) sequences(items []eval.Item) ([]model.Sequence, error) {
	out := make([]model.Sequence, len(items))
	for i := range items {
		var err error
		if out[i], err = a.sequence(&items[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Answer implements eval.Answerer by greedy decoding.
func (a *Answerer) Answer(ctx context.Context, items []eval.Item, maxNew int) ([]string, error) {
	seqs, err := a.sequences(items)
	if err != nil {
		return nil, err
	}
	ids, err := a.Model.Generate(ctx, seqs, model.GenerateOptions{
		MaxNew: maxNew, EOS: a.Encoder.Ends(), MaxBatchTokens: a.BatchTokens,
	})
	if err != nil {
		return nil, err
	}
	out := make([]string, len(ids))
	for i, g := range ids {
		out[i] = a.Encoder.Decode(g)
	}
	return out, nil
}

// ScoreOptions implements eval.Answerer: the log-probability of each item's
// choices as the continuation of its prompt.
func (a *Answerer) ScoreOptions(ctx context.Context, items []eval.Item) ([][]float64, error) {
	var prompts []model.Sequence
	var choices [][]int32
	for i := range items {
		s, err := a.sequence(&items[i])
		if err != nil {
			return nil, err
		}
		for _, c := range items[i].Choices {
			prompts = append(prompts, s)
			choices = append(choices, a.Encoder.answer(items[i].Prompt, c))
		}
	}
	nll, err := a.Model.ScoreContinuations(ctx, prompts, choices)
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(items))
	at := 0
	for i := range items {
		for range items[i].Choices {
			out[i] = append(out[i], -nll[at])
			at++
		}
	}
	return out, nil
}

// evalSets are the configured sets of people to ask about.
func evalSets(b *data.Benchmark, names []string, forget, retain string, people int) ([]eval.Set, error) {
	var sets []eval.Set
	for _, name := range names {
		var profiles, full []data.Profile
		var err error
		switch name {
		case eval.Forget:
			profiles, err = b.Evaluation(forget)
		case eval.Test:
			if profiles, err = b.Unseen(forget); err == nil {
				full, err = b.Evaluation(forget)
			}
		case eval.Retain:
			if profiles, err = b.Evaluation(retain); err == nil {
				profiles = limit(profiles, people)
			}
		case eval.Celebrity:
			if profiles, err = b.Evaluation(data.RetainSet); err == nil && people > 0 {
				// The last ones are those the base never saw with an instruction.
				profiles = profiles[max(0, len(profiles)-people):]
			}
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, eval.Set{Name: name, Profiles: profiles, Full: full})
	}
	return sets, nil
}

func limit[T any](s []T, n int) []T {
	if n > 0 && n < len(s) {
		return s[:n]
	}
	return s
}
