package eval

import (
	"fmt"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
)

// ClassificationScore says how an answer to a multiple-choice question is read.
type ClassificationScore string

// The readings of a multiple-choice answer.
const (
	ByLetter ClassificationScore = "letter" // its first character (protocol)
	ByOption ClassificationScore = "option" // the option whose text it names first
)

// Wording is how one task is asked. Shots are written one after another where
// the query says {shots}. In all four, {question} and {options} stand for the
// question and its options; in shots {letter} and {answer} stand for the
// correct letter and the ground truth.
type Wording struct {
	ImageShot, TextShot string
	Image, Text         string // the query
}

// Protocol is what is asked and how an answer is read. It is a value: what it says
// and the profiles alone decide every prompt, byte for byte, on every rank, and in
// every run with the same seed.
type Protocol struct {
	Seed uint64 // of the shots, and of the image shown where a person has several

	Classification, Cloze, Generation Wording

	// Blank replaces every "__" of a cloze question; empty leaves it.
	Blank string
	// OptionSeparator joins the options, each "A: text".
	OptionSeparator string
	// Choice is the continuation whose likelihood speaks for an option, of
	// {option} and {letter}.
	Choice string

	// ShotsClassification and ShotsCloze are people, drawn from the evaluated
	// set, whose questions are shown with their answers and then not asked.
	// Classification of the celebrity set takes none (protocol).
	ShotsClassification, ShotsCloze int

	MaxNew     int // most tokens of an answer
	Score      ClassificationScore
	Likelihood bool               // score the options' likelihood beside Score
	Modalities []dataset.Modality // what is asked; empty: both
}

// Validate reports the first setting that cannot work.
func (p *Protocol) Validate() error {
	switch {
	case p.MaxNew < 1:
		return fmt.Errorf("eval.max_new: %d; at least one token must be generated", p.MaxNew)
	case p.ShotsClassification < 0:
		return fmt.Errorf("eval.shots_classification: %d; give 0 or more people", p.ShotsClassification)
	case p.ShotsCloze < 0:
		return fmt.Errorf("eval.shots_cloze: %d; give 0 or more people", p.ShotsCloze)
	}
	switch p.Score {
	case ByLetter, ByOption:
	default:
		return fmt.Errorf("eval.classification: %q; take letter or option", p.Score)
	}
	if p.Likelihood && !strings.Contains(p.Choice, "{option}") && !strings.Contains(p.Choice, "{letter}") {
		return fmt.Errorf("protocol: the choice %q names neither {option} nor {letter}", p.Choice)
	}
	for _, m := range p.Modalities {
		if m != dataset.ImageText && m != dataset.Text {
			return fmt.Errorf("eval.modalities: %q; take image_text or text", m)
		}
	}
	for _, w := range []struct {
		task dataset.Task
		Wording
	}{{dataset.Classification, p.Classification}, {dataset.Cloze, p.Cloze}, {dataset.Generation, p.Generation}} {
		for _, t := range []struct {
			where, text string
			images      int
		}{
			{"query with an image", w.Image, 1}, {"query without an image", w.Text, 0},
			{"shot with an image", w.ImageShot, 1}, {"shot without an image", w.TextShot, 0},
		} {
			if t.text == "" && strings.HasPrefix(t.where, "shot") {
				continue
			}
			if !strings.Contains(t.text, "{question}") {
				return fmt.Errorf("prompt of %s, %s: {question} is missing in %q (is {prompt} missing in the chat template?)", w.task, t.where, t.text)
			}
			if n := strings.Count(t.text, prompts.ImageMark); n != t.images {
				return fmt.Errorf("prompt of %s, %s: %d times %s in %q instead of %d; check the chat template", w.task, t.where, n, prompts.ImageMark, t.text, t.images)
			}
		}
	}
	return nil
}

// wording is how a task is asked.
func (p *Protocol) wording(t dataset.Task) *Wording {
	switch t {
	case dataset.Classification:
		return &p.Classification
	case dataset.Cloze:
		return &p.Cloze
	}
	return &p.Generation
}

// shots is how many people are shown before a question of this task.
// setting is where the number is set, for errors. Generation has none, and neither has
// classification of the celebrity set: the released script shows none there.
func (p *Protocol) shots(set string, t dataset.Task) (n int, setting string) {
	switch {
	case t == dataset.Classification && set != Celebrity:
		return p.ShotsClassification, "eval.shots_classification"
	case t == dataset.Cloze:
		return p.ShotsCloze, "eval.shots_cloze"
	}
	return 0, ""
}

func (p *Protocol) asks(m dataset.Modality) bool {
	if len(p.Modalities) == 0 {
		return true
	}
	for _, have := range p.Modalities {
		if have == m {
			return true
		}
	}
	return false
}
