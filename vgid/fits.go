package vgid

import (
	"fmt"
	"slices"

	"vgid/eval"
	"vgid/model/hf/imaging"
	"vgid/vgid/ask"
	"vgid/vgid/data"
)

// lesson is what a stage trains on: the questions of people, some of them behind
// an instruction.
type lesson struct {
	set          string // its name in errors
	people       []data.Profile
	subject      string   // what {subject} stands for beside an image
	instructions []string // templates that may stand before a question
	textOnly     bool     // they stand before questions without an image only
	rollout      bool     // the answers are the teacher's own
}

// Fits checks before a stage begins that the model can read every question of
// the people with its answer, and with any of the instructions. Found out when
// one is drawn, it would end a run that has been going for hours.
func (e *Encoder) Fits(l lesson) error {
	if err := e.Unmarked(l.subject); err != nil {
		return fmt.Errorf("prompt.subject: %w", err)
	}
	for _, u := range l.instructions {
		if err := e.Unmarked(u); err != nil {
			return fmt.Errorf("instruction %w", err)
		}
	}
	for i := range l.people {
		if err := e.fitsPerson(&l, &l.people[i]); err != nil {
			return fmt.Errorf("the %s set, person %s: %w", l.set, l.people[i].ID, err)
		}
	}
	return nil
}

func (e *Encoder) fitsPerson(l *lesson, p *data.Profile) error {
	if err := e.Unmarked(p.Name); err != nil {
		return fmt.Errorf("name %w", err)
	}
	for i := range p.Images {
		if err := e.takes(&p.Images[i]); err != nil {
			return err
		}
	}
	for _, qa := range p.Train {
		if err := e.Unmarked(qa.Question); err != nil {
			return fmt.Errorf("question %w", err)
		}
		if err := e.Unmarked(qa.Answer); err != nil {
			return fmt.Errorf("answer %w", err)
		}
		s := personSample(p, qa, l.subject, data.Stream(0, "fits", 0))
		if err := e.largest(&s, p.Images); err != nil {
			return err
		}
		plain, err := e.Encode(s, "", unseen)
		if err != nil {
			return err
		}
		most := plain.First
		for _, u := range l.instructions {
			if l.textOnly && !s.Picture.None() {
				continue
			}
			v, err := e.Encode(s, u, unseen)
			if err != nil {
				return err
			}
			if err := sameAnswer(s.Answer, v, plain); err != nil && !l.rollout {
				return err
			}
			most = max(most, v.First)
		}
		if room := e.Config().Text.MaxPositions - most - 1; l.rollout && room < rolloutTokens {
			return fmt.Errorf("question %q leaves room for %d tokens of an answer of the teacher's own, which has up to %d (max_position_embeddings in config.json): shorten it", ask.Clip(qa.Question), max(0, room), rolloutTokens)
		}
	}
	return nil
}

// sameAnswer checks that the answer is made of the same tokens for teacher and
// student: only those can be compared. With a prompt that ends in the question
// itself, it may not be.
func sameAnswer(answer string, teacher, student View) error {
	if slices.Equal(teacher.Next, student.Next) {
		return nil
	}
	return fmt.Errorf("the answer %q has other tokens behind the instruction than without it: end prompt.template and prompt.text in a line break or a mark of the answer's turn", ask.Clip(answer))
}

// largest shows the image with the most tokens in a sample with an image.
func (e *Encoder) largest(s *Sample, images []data.Image) error {
	if s.Picture.None() || e.OneSize() {
		return nil
	}
	most := -1
	for i := range images {
		g, err := e.grid(Picture{File: &images[i]})
		if err != nil {
			return err
		}
		if n := e.Config().ImageTokens(g); n > most {
			most, s.Picture.File = n, &images[i]
		}
	}
	return nil
}

// takes checks that the processor takes a picture of this size.
func (e *Encoder) takes(img *data.Image) error {
	w, h, err := imaging.Size(img.Bytes, img.Where)
	if err != nil {
		return err
	}
	if err := e.Processor().Check(h, w); err != nil {
		return fmt.Errorf("%s: %w", img.Where, err)
	}
	return nil
}

// fitsSets checks that no text of the people who are asked about, or shown
// before that, holds the mark of an image.
func (e *Encoder) fitsSets(sets []eval.Set) error {
	for _, s := range sets {
		for _, people := range [][]data.Profile{s.Profiles, s.Full} {
			for i := range people {
				for _, q := range people[i].Eval {
					if err := e.fitsQuestion(q); err != nil {
						return fmt.Errorf("evaluation set %s, person %s: %w", s.Name, people[i].ID, err)
					}
				}
			}
		}
	}
	return nil
}

func (e *Encoder) fitsQuestion(q data.Question) error {
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
		ids, first, err := a.Encoder.response(q.prompt, c, q.Images)
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
