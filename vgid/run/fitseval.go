package run

import (
	"fmt"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/vgid/ask"
	"vgid/vgid/train"
)

// fitsSets checks that no text of the people who are asked about, or shown
// before that, holds the mark of an image.
func fitsSets(e *train.Encoder, sets []eval.Set) error {
	for _, s := range sets {
		for _, people := range [][]dataset.Profile{s.Profiles, s.Full} {
			for i := range people {
				for _, q := range people[i].Eval {
					if err := fitsQuestion(e, q); err != nil {
						return fmt.Errorf("evaluation set %s, person %s: %w", s.Name, people[i].ID, err)
					}
				}
			}
		}
	}
	return nil
}

func fitsQuestion(e *train.Encoder, q dataset.Question) error {
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
