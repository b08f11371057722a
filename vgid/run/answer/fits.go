package answer

import (
	"fmt"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/model"
	"vgid/vgid/ask"
	"vgid/vgid/train"
)

// Items are the questions of an evaluation for the model of an encoder. Texts that
// would be taken for a picture are refused.
func Items(e *train.Encoder, sets []eval.Set, p eval.Protocol) ([]eval.Item, error) {
	if err := checkSets(e, sets); err != nil {
		return nil, err
	}
	return eval.BuildItems(sets, p)
}

// checkSets checks that no text of the people who are asked about, or shown
// before that, holds the mark of an image.
func checkSets(e *train.Encoder, sets []eval.Set) error {
	for _, s := range sets {
		for _, people := range [][]dataset.Profile{s.Profiles, s.Full} {
			for i := range people {
				for _, q := range people[i].Eval {
					if err := unmarked(e, q); err != nil {
						return fmt.Errorf("evaluation set %s, person %s: %w", s.Name, people[i].ID, err)
					}
				}
			}
		}
	}
	return nil
}

// unmarked checks question, answer and options of one row.
func unmarked(e *train.Encoder, q dataset.Question) error {
	if err := e.Unmarked(q.Text); err != nil {
		return fmt.Errorf("question %w", err)
	}
	if err := e.Unmarked(q.Answer); err != nil {
		return fmt.Errorf("answer %w", err)
	}
	for _, o := range q.Options {
		if err := e.Unmarked(o.Text); err != nil {
			return fmt.Errorf("option %s %w", o.Letter, err)
		}
	}
	return nil
}

// Prompts gives the items as the model reads them, and checks that it can: each with
// an answer behind it, and with each of its choices where their likelihood is asked
// for. Found out when it is asked, the first that does not fit would end an
// evaluation that has been going for hours.
func (a *Answerer) Prompts(items []eval.Item, p eval.Protocol) ([]model.Sequence, error) {
	prompts := make([]model.Sequence, len(items))
	for i := range items {
		q, err := a.question(&items[i])
		if err == nil {
			err = a.fitsItem(&items[i], q, p)
		}
		if err != nil {
			return nil, err
		}
		prompts[i] = q.Sequence
	}
	return prompts, nil
}

// fitsItem checks that the model can read a question with an answer of maxNew
// tokens behind it, and with each of its choices where their likelihood is asked
// for.
func (a *Answerer) fitsItem(it *eval.Item, q question, p eval.Protocol) error {
	most := a.Model.Config.Text.MaxPositions
	if n := len(q.IDs) + p.MaxNew; n > most {
		return fmt.Errorf("%s: question %q takes %d tokens with its prompt, %d with an answer (eval.max_new), the model reads %d at most (max_position_embeddings in config.json): shorten it, or its answer", it.ID, ask.Clip(it.Question), len(q.IDs), n, most)
	}
	if !p.Likelihood {
		return nil
	}
	for i, c := range it.Choices {
		ids, first, err := a.Encoder.Response(q.prompt, c, q.Images)
		switch {
		case err != nil:
			return fmt.Errorf("%s, option %s: %w", it.ID, it.Options[i].Letter, err)
		case first == len(ids):
			return fmt.Errorf("%s: option %s of question %q is empty: it has no likelihood", it.ID, it.Options[i].Letter, ask.Clip(it.Question))
		case len(ids) > most:
			return fmt.Errorf("%s: question %q takes %d tokens with option %s, the model reads %d at most (max_position_embeddings in config.json): shorten it", it.ID, ask.Clip(it.Question), len(ids), it.Options[i].Letter, most)
		}
	}
	return nil
}
