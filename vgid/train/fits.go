package train

import (
	"fmt"
	"slices"

	"vgid/eval/dataset"
	"vgid/model/hf/imaging"
	"vgid/vgid/ask"
	"vgid/vgid/random"
)

// Lesson is what a stage trains on: the questions of people, some of them behind
// an instruction.
type Lesson struct {
	Set          string // its name in errors
	People       []dataset.Profile
	Subject      string   // what {subject} stands for beside an image
	Instructions []string // templates that may stand before a question
	TextOnly     bool     // they stand before questions without an image only
	Rollout      bool     // the answers are the teacher's own
}

// Fits checks before a stage begins that the model can read every question of
// the people with its answer, and with any of the instructions. Found out when
// one is drawn, it would end a run that has been going for hours.
func (e *Encoder) Fits(l Lesson) error {
	if err := e.Unmarked(l.Subject); err != nil {
		return fmt.Errorf("prompt.subject: %w", err)
	}
	for _, u := range l.Instructions {
		if err := e.Unmarked(u); err != nil {
			return fmt.Errorf("instruction %w", err)
		}
	}
	for i := range l.People {
		if err := e.fitsPerson(&l, &l.People[i]); err != nil {
			return fmt.Errorf("the %s set, person %s: %w", l.Set, l.People[i].ID, err)
		}
	}
	return nil
}

func (e *Encoder) fitsPerson(l *Lesson, p *dataset.Profile) error {
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
		s := personSample(p, qa, l.Subject, random.Stream(0, "fits", 0))
		if err := e.largest(&s, p.Images); err != nil {
			return err
		}
		plain, err := e.Encode(s, "", unseen)
		if err != nil {
			return err
		}
		most := plain.First
		for _, u := range l.Instructions {
			if l.TextOnly && !s.Picture.None() {
				continue
			}
			v, err := e.Encode(s, u, unseen)
			if err != nil {
				return err
			}
			if err := sameAnswer(s.Answer, v, plain); err != nil && !l.Rollout {
				return err
			}
			most = max(most, v.First)
		}
		if room := e.Config().Text.MaxPositions - most - 1; l.Rollout && room < rolloutTokens {
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
func (e *Encoder) largest(s *Sample, images []dataset.Image) error {
	if s.Picture.None() || e.OneSize() {
		return nil
	}
	most := -1
	for i := range images {
		g, err := e.Grid(Picture{File: &images[i]})
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
func (e *Encoder) takes(img *dataset.Image) error {
	w, h, err := imaging.Size(img.Bytes, img.Where)
	if err != nil {
		return err
	}
	if err := e.Processor().Check(h, w); err != nil {
		return fmt.Errorf("%s: %w", img.Where, err)
	}
	return nil
}
