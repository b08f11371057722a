package answer

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"vgid/eval"
	"vgid/model"
	"vgid/model/hf/imaging"
	"vgid/vgid/ask"
	"vgid/vgid/train"
)

// Answerer lets a model answer evaluation items: eval.Answerer.
//
// What must hold: an item's answer depends on the item and the model alone, not on
// which items are answered with it, so that any number of workers gives the same
// answers (likelihoods may be rounded otherwise).
type Answerer struct {
	Model       *model.Model
	Encoder     *train.Encoder
	BatchTokens int // most tokens in flight
	// Unseen shows black images of the items' sizes instead of their own: for the
	// memory of an answer it does not matter what they show.
	Unseen bool
	// MostPixels bounds the values of the images that are held for answers to come;
	// 0: KeepPixels.
	MostPixels int

	// Disturb, when set, changes an item's prompt and query image before they
	// are encoded: an Intervention.
	Disturb Disturbance
	// Asked, when set, hears how many items more have been answered or scored.
	Asked func(n int)

	black []float32 // of the largest image so far
}

// question is an item as the model reads it, with the text it was made of.
// Its Sample is the item's index, so that a draw is the item's whatever it is batched with.
type question struct {
	model.Sequence
	prompt string
}

func (a *Answerer) question(it *eval.Item) (question, error) {
	q := question{Sequence: model.Sequence{Sample: uint32(it.Index)}, prompt: it.Prompt}
	for _, img := range it.Images {
		own, err := a.image(train.Picture{File: img})
		if err != nil {
			return q, err
		}
		q.Images = append(q.Images, own)
	}
	var err error
	if a.Disturb != nil {
		if q.prompt, err = a.Disturb(it, q.prompt, q.Images); err != nil {
			return q, err
		}
	}
	q.IDs, err = a.Encoder.Tokens(q.prompt, q.Images)
	return q, err
}

// image is a picture as the model reads it.
// A black one is of the size that the picture would have, so that memory is estimated
// without decoding it.
func (a *Answerer) image(p train.Picture) (img imaging.Image, err error) {
	if !a.Unseen {
		return a.Encoder.Image(p)
	}
	if !a.Encoder.OneSize() {
		if img.Grid, err = a.Encoder.Grid(p); err != nil {
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

// inRuns gives items and their questions to f, so many at a time that their
// images are not too large together.
func (a *Answerer) inRuns(items []eval.Item, f func([]eval.Item, []question) error) error {
	var run []question
	from, held := 0, 0
	for i := range items {
		q, err := a.question(&items[i])
		if err != nil {
			return err
		}
		run = append(run, q)
		for _, img := range q.Images {
			held += len(img.Pixels)
		}
		if i+1 < len(items) && held < cmp.Or(a.MostPixels, train.KeepPixels) {
			continue
		}
		if err := f(items[from:i+1], run); err != nil {
			return err
		}
		if a.Asked != nil {
			a.Asked(len(run))
		}
		run, from, held = nil, i+1, 0
	}
	return nil
}

// Answer implements eval.Answerer by greedy decoding.
func (a *Answerer) Answer(ctx context.Context, items []eval.Item, maxNew int) ([]string, error) {
	var out []string
	err := a.inRuns(items, func(items []eval.Item, asked []question) error {
		prompts := make([]model.Sequence, len(asked))
		for i, q := range asked {
			prompts[i] = q.Sequence
		}
		o := a.Encoder.Greedy(maxNew)
		o.MaxBatchTokens = a.BatchTokens
		ids, err := a.Model.Generate(ctx, prompts, o)
		for _, g := range ids {
			out = append(out, a.Encoder.Decode(g))
		}
		return about(err, func(prompt int) *eval.Item { return &items[prompt] })
	})
	return out, err
}

// about names the item at whose prompt the logits were not finite.
func about(err error, item func(prompt int) *eval.Item) error {
	var broken *model.NotFiniteError
	if errors.As(err, &broken) {
		it := item(broken.Prompt)
		return fmt.Errorf("item %s (%s, %s, %q): %w", it.ID, it.Set, it.Task, ask.Clip(it.Question), broken)
	}
	return err
}

// ScoreOptions implements eval.Answerer: the log-probability of each item's
// choices as the continuation of its prompt.
// The options of an item are prompts of their own, each with the choice behind: prompt and
// choice are encoded as one text, since tokens may span both.
func (a *Answerer) ScoreOptions(ctx context.Context, items []eval.Item) ([][]float64, error) {
	var out [][]float64
	err := a.inRuns(items, func(items []eval.Item, asked []question) error {
		var prompts []model.Sequence
		var choices [][]int32
		var of []int // the item of each prompt
		for i, q := range asked {
			for _, c := range items[i].Choices {
				whole, first, err := a.Encoder.Response(q.prompt, c, q.Images)
				if err != nil {
					return err
				}
				prompt := q.Sequence
				prompt.IDs = whole[:first]
				prompts, choices, of = append(prompts, prompt), append(choices, whole[first:]), append(of, i)
			}
		}
		nll, err := a.Model.ScoreContinuations(ctx, prompts, choices)
		if err != nil {
			return about(err, func(prompt int) *eval.Item { return &items[of[prompt]] })
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
