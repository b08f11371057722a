package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/metric"
)

// Answerer is a model that answers items. Its answers must not depend on which
// other items they came with: each rank gets another share in another world, and
// the numbers must be the same in all of them. So it decodes greedily, and what it
// batches must not show.
type Answerer interface {
	// Answer generates greedily, at most maxNew tokens for each item, and
	// returns the new text alone, in the order of items.
	Answer(ctx context.Context, items []Item, maxNew int) ([]string, error)
	// ScoreOptions returns, for each item, the summed log-probability of each of
	// its Choices as the continuation of its prompt.
	ScoreOptions(ctx context.Context, items []Item) ([][]float64, error)
}

// Share is one rank's part of an evaluation, and its way to the others' parts. Every
// rank builds all items from the same files and settings, answers its share, and
// gets all answers; a rank that has other items is found out when the shares are
// put together (merge).
type Share struct {
	Rank, World int
	// Gather runs answer on every rank and returns what each rank's gave, in the
	// order of the ranks, to every rank; the first error of any is the error of all.
	// One may need hours longer than another. It may be nil when World is 1; the
	// answers then do not leave the caller.
	Gather func(ctx context.Context, answer func(context.Context) ([]byte, error)) ([][]byte, error)
}

// Alone is the share of an evaluation without other ranks.
var Alone = Share{World: 1}

// Outcome is a finished evaluation of one model; equal on every rank.
type Outcome struct {
	Scores  Scores
	Counts  Counts
	Answers []Answer // one for each item, in their order
}

// Run evaluates a model on the sets. Rank r of w answers the items whose index
// is r modulo w, which spreads tasks and prompt lengths evenly; the result does
// not depend on w.
func Run(ctx context.Context, sets []Set, p Protocol, model Answerer, s Share) (*Outcome, error) {
	items, err := BuildItems(sets, p)
	if err != nil {
		return nil, err
	}
	return RunItems(ctx, items, p, model, s)
}

// RunItems is Run for items that were built before.
func RunItems(ctx context.Context, items []Item, p Protocol, model Answerer, s Share) (*Outcome, error) {
	if s.World < 1 || s.Rank < 0 || s.Rank >= s.World {
		return nil, fmt.Errorf("evaluation: rank %d of %d", s.Rank, s.World)
	}
	var mine []Item
	for i := s.Rank; i < len(items); i += s.World {
		mine = append(mine, items[i])
	}
	local := func(ctx context.Context) ([]Answer, error) {
		answers, err := answer(ctx, mine, p, model)
		if err != nil {
			return nil, fmt.Errorf("evaluation, rank %d: %w", s.Rank, err)
		}
		return answers, nil
	}
	var answers []Answer
	var err error
	if s.World == 1 && s.Gather == nil {
		answers, err = local(ctx)
	} else {
		answers, err = s.gathered(ctx, items, local)
	}
	if err != nil {
		return nil, err
	}
	out := &Outcome{Answers: answers}
	if out.Scores, out.Counts, err = Tally(answers); err != nil {
		return nil, err
	}
	return out, nil
}

// gathered are the answers of all ranks, each of which gives its own.
// They travel as JSON, which keeps every float64 as it is.
func (s Share) gathered(ctx context.Context, items []Item, own func(context.Context) ([]Answer, error)) ([]Answer, error) {
	parts, err := s.Gather(ctx, func(ctx context.Context) ([]byte, error) {
		answers, err := own(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answers)
	})
	if err != nil {
		return nil, err
	}
	return merge(items, parts)
}

// answer asks the model and scores each answer alone.
func answer(ctx context.Context, items []Item, p Protocol, model Answerer) ([]Answer, error) {
	if len(items) == 0 {
		return nil, nil
	}
	said, err := model.Answer(ctx, items, p.MaxNew)
	if err != nil {
		return nil, err
	}
	if len(said) != len(items) {
		return nil, fmt.Errorf("the model gave %d answers to %d items", len(said), len(items))
	}
	likely := map[int][]float64{}
	if p.Likelihood {
		if likely, err = likelihoods(ctx, items, model); err != nil {
			return nil, err
		}
	}
	answers := make([]Answer, 0, len(items))
	for i, it := range items {
		answers = append(answers, score(&it, p, said[i], likely[it.Index]))
	}
	return answers, nil
}

// likelihoods are the log-probabilities of the options of the items that have
// any, by the index of the item.
func likelihoods(ctx context.Context, items []Item, model Answerer) (map[int][]float64, error) {
	choose := slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return it.Task != dataset.Classification })
	likely := map[int][]float64{}
	if len(choose) == 0 {
		return likely, nil
	}
	scores, err := model.ScoreOptions(ctx, choose)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(choose) {
		return nil, fmt.Errorf("the model scored the options of %d items instead of %d", len(scores), len(choose))
	}
	for i, it := range choose {
		if len(scores[i]) != len(it.Choices) {
			return nil, fmt.Errorf("%s: %d option scores for %d options", it.ID, len(scores[i]), len(it.Choices))
		}
		for k, v := range scores[i] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s: log-probability of option %s is %v: the model's logits are not finite (NaN/Inf), because its weights hold such values or its activations overflow", it.ID, it.Options[k].Letter, v)
			}
		}
		likely[it.Index] = scores[i]
	}
	return likely, nil
}

// score turns one response into numbers.
// Each answer is scored by itself, so that it does not matter which rank does it.
func score(it *Item, p Protocol, response string, logProbs []float64) Answer {
	a := Answer{
		Index: it.Index, ID: it.ID, Set: it.Set, Person: it.Person, Task: it.Task, Modality: it.Modality,
		Question: it.Question, Reference: it.Reference, Response: strings.TrimSpace(response),
	}
	if it.Task == dataset.Classification {
		a.Options, a.Correct, a.LogProbs = it.Options, it.Correct, logProbs
		if a.Chosen = metric.Letter(response, it.Options); p.Score == ByOption {
			a.Chosen = metric.NamedOption(response, it.Options)
		}
	}
	a.Metrics = metric.Scores(&metric.Response{
		Task: it.Task, Reference: it.Reference, Text: response,
		Options: a.Options, Correct: a.Correct, Chosen: a.Chosen, LogProbs: a.LogProbs,
	})
	return a
}

// merge puts the answers of all ranks into the order of the items and checks
// that every item was answered once.
func merge(items []Item, parts [][]byte) ([]Answer, error) {
	all := make([]Answer, len(items))
	done := make([]bool, len(items))
	for rank, part := range parts {
		var got []Answer
		if err := json.Unmarshal(part, &got); err != nil {
			return nil, fmt.Errorf("evaluation: answers of rank %d: %w", rank, err)
		}
		for _, a := range got {
			if a.Index < 0 || a.Index >= len(items) || items[a.Index].ID != a.ID {
				return nil, fmt.Errorf("evaluation: rank %d answered item %d, %s, which this rank does not have; give all ranks the same data and configuration", rank, a.Index, a.ID)
			}
			if done[a.Index] {
				return nil, fmt.Errorf("evaluation: item %s was answered twice, the second time by rank %d", a.ID, rank)
			}
			all[a.Index], done[a.Index] = a, true
		}
	}
	for i, ok := range done {
		if !ok {
			return nil, fmt.Errorf("evaluation: no rank answered item %s", items[i].ID)
		}
	}
	return all, nil
}
