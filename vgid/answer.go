package vgid

import (
	"cmp"
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
	// Unseen shows black images of the items' sizes instead of their own: for the
	// memory of an answer it does not matter what they show.
	Unseen bool
	// MostPixels bounds the values of the images that are held for answers to come;
	// 0: keepPixels.
	MostPixels int

	// Disturb, when set, changes an item's prompt and query image before they
	// are encoded: how the teacher's answers are looked at.
	Disturb func(it *eval.Item, prompt string, images []imaging.Image) (string, error)

	black []float32 // of the largest image so far
}

func (a *Answerer) sequence(it *eval.Item) (model.Sequence, error) {
	s := model.Sequence{Sample: uint32(it.Index)}
	for _, img := range it.Images {
		own, err := a.image(Picture{File: img})
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

// image is a picture as the model reads it.
func (a *Answerer) image(p Picture) (img imaging.Image, err error) {
	if !a.Unseen {
		return a.Encoder.Image(p)
	}
	if !a.Encoder.OneSize() {
		if img.Grid, err = a.Encoder.grid(p); err != nil {
			return img, err
		}
	}
	n := 1
	for _, d := range a.Model.Config.PixelShape([]imaging.Image{img}) {
		n *= d
	}
	if len(a.black) < n {
		a.black = make([]float32, n)
	}
	img.Pixels = a.black[:n]
	return img, nil
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

// inRuns gives items and their prompts to f, so many at a time that their images
// are not too large together.
func (a *Answerer) inRuns(items []eval.Item, f func([]eval.Item, []model.Sequence) error) error {
	var run []model.Sequence
	from, held := 0, 0
	for i := range items {
		s, err := a.sequence(&items[i])
		if err != nil {
			return err
		}
		run = append(run, s)
		for _, img := range s.Images {
			held += len(img.Pixels)
		}
		if i+1 < len(items) && held < cmp.Or(a.MostPixels, keepPixels) {
			continue
		}
		if err := f(items[from:i+1], run); err != nil {
			return err
		}
		run, from, held = nil, i+1, 0
	}
	return nil
}

// Answer implements eval.Answerer by greedy decoding.
func (a *Answerer) Answer(ctx context.Context, items []eval.Item, maxNew int) ([]string, error) {
	var out []string
	err := a.inRuns(items, func(_ []eval.Item, prompts []model.Sequence) error {
		o := a.Encoder.Greedy(maxNew)
		o.MaxBatchTokens = a.BatchTokens
		ids, err := a.Model.Generate(ctx, prompts, o)
		for _, g := range ids {
			out = append(out, a.Encoder.Decode(g))
		}
		return err
	})
	return out, err
}

// ScoreOptions implements eval.Answerer: the log-probability of each item's
// choices as the continuation of its prompt.
func (a *Answerer) ScoreOptions(ctx context.Context, items []eval.Item) ([][]float64, error) {
	var out [][]float64
	err := a.inRuns(items, func(items []eval.Item, seqs []model.Sequence) error {
		var prompts []model.Sequence
		var choices [][]int32
		for i, it := range items {
			for _, c := range it.Choices {
				prompts = append(prompts, seqs[i])
				choices = append(choices, a.Encoder.answer(it.Prompt, c))
			}
		}
		nll, err := a.Model.ScoreContinuations(ctx, prompts, choices)
		if err != nil {
			return err
		}
		at := 0
		for _, it := range items {
			scores := make([]float64, len(it.Choices))
			for k := range scores {
				scores[k] = -nll[at+k]
			}
			at += len(scores)
			out = append(out, scores)
		}
		return nil
	})
	return out, err
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
