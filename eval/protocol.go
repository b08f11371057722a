package eval

import (
	"fmt"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
)

// The sets of MLLMU-Bench. Retain and Celebrity are people not to be forgotten;
// the latter are outside the fine-tuning data.
const (
	Forget    = "forget"
	Test      = "test" // the forget people, in images not trained on
	Retain    = "retain"
	Celebrity = "celebrity"
)

// ClassificationScore says how an answer to a multiple-choice question is read.
type ClassificationScore string

// The readings of a multiple-choice answer.
const (
	ByLetter ClassificationScore = "letter" // its first character (protocol)
	ByOption ClassificationScore = "option" // the option whose text it names first
)

// Chat is the model's turn, once for a question with an image and once without.
// {prompt} stands for the question; Image has one ImageMark.
type Chat struct{ Image, Text string }

// LLaVAChat is the turn of LLaVA-1.5.
var LLaVAChat = Chat{Image: "USER: <image>\n{prompt}\nASSISTANT:", Text: "USER: {prompt}\nASSISTANT:"}

// Wording is how one task is asked. Shots are written one after another where
// Query says {shots}. In all four, {question} and {options} stand for the
// question and its options; in shots {letter} and {answer} stand for the
// correct letter and the ground truth.
type Wording struct {
	ImageShot, TextShot string
	Image, Text         string // the query
}

// Protocol is what is asked and how an answer is read.
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

const (
	mllmuLetter   = "Just give ONE letter representing the answer directly."
	mllmuBlank    = "Please **ONLY** provide the correct answer that should replace the [Blank]."
	mllmuImage    = "Answer the question based on your trained knowledge in one sentence accurately in ENGLISH."
	mllmuText     = "Answer the question based on your trained knowledge in one sentence in ENGLISH."
	mllmuOptions  = "Question: {question}\n{options}\nCorrect Answer: {letter}\n"
	mllmuQuestion = "{question}\n{options}\n" + mllmuLetter
)

// MLLMU is MLLMU-Bench's own protocol as its evaluation script runs it on
// LLaVA-1.5, byte for byte: one person shown before classification, two before
// cloze, none before generation. For another model's chat the same sentences
// are put into that chat's turn, shots first.
func MLLMU(chat Chat, seed uint64) Protocol {
	p := Protocol{
		Seed:                seed,
		Blank:               "[Blank]",
		OptionSeparator:     "\n",
		Choice:              "{letter}",
		ShotsClassification: 1,
		ShotsCloze:          2,
		MaxNew:              50,
		Score:               ByLetter,
	}
	p.Classification = Wording{
		ImageShot: "USER: <image>\n" + mllmuOptions,
		TextShot:  "USER:\n" + mllmuOptions,
	}
	p.Cloze = Wording{
		ImageShot: "USER:<image>\n{question}\n" + mllmuBlank + "\nCorrect Answer: {answer}\n",
		TextShot:  "USER:\n{question}\n" + mllmuBlank + "\nCorrect Answer: {answer}\n",
	}
	if chat != LLaVAChat {
		cloze := "{question}\n" + mllmuBlank
		p.Classification.Image, p.Classification.Text = chat.wrap("{shots}"+mllmuQuestion, "{shots}"+mllmuQuestion)
		p.Cloze.Image, p.Cloze.Text = chat.wrap("{shots}"+cloze, "{shots}"+cloze)
		p.Generation.Image, p.Generation.Text = chat.wrap("{question}\n"+mllmuImage, "{question}\n"+mllmuText)
		return p
	}
	p.Classification.Image = "{shots}USER: <image>\n" + mllmuQuestion + "\nASSISTANT:"
	p.Classification.Text = "{shots}USER:\n" + mllmuQuestion + "\nASSISTANT:"
	p.Cloze.Image = "{shots}USER: <image>\n{question}\n" + mllmuBlank + "\nASSISTANT:"
	p.Cloze.Text = "{shots}USER:\n{question}\n" + mllmuBlank + "\nASSISTANT:"
	p.Generation.Image = "USER: <image>\n{question}\n" + mllmuImage + "\nASSISTANT: " // the space is the script's
	p.Generation.Text = "USER: {question}\n" + mllmuText + "\nASSISTANT:"
	return p
}

// Short is the wording of the quickstart's small model: the question alone, no
// shots, and answers that name an option's text.
func Short(chat Chat, seed uint64) Protocol {
	p := Protocol{Seed: seed, OptionSeparator: " ", Choice: "{option}", MaxNew: 24, Score: ByOption, Likelihood: true}
	p.Generation = chat.wording("{question}", "{answer}")
	p.Cloze = chat.wording("Fill in the blank. {question}", "{answer}")
	p.Classification = chat.wording("{question} {options}", "{answer}: {letter}")
	return p
}

// NewProtocol is MLLMU or Short by their names in the configuration.
func NewProtocol(prompts string, chat Chat, seed uint64) (Protocol, error) {
	switch prompts {
	case "mllmu":
		return MLLMU(chat, seed), nil
	case "short":
		return Short(chat, seed), nil
	}
	return Protocol{}, fmt.Errorf("eval.prompts: no wording %q; take mllmu or short", prompts)
}

// wording makes queries of body in the chat's turn, and shots of the same with
// the answer behind.
func (c Chat) wording(body, answer string) Wording {
	image, text := c.wrap(body, body)
	return Wording{
		ImageShot: image + prompts.Lead(image) + answer + "\n", TextShot: text + prompts.Lead(text) + answer + "\n",
		Image: "{shots}" + image, Text: "{shots}" + text,
	}
}

func (c Chat) wrap(image, text string) (string, string) {
	return strings.ReplaceAll(c.Image, "{prompt}", image), strings.ReplaceAll(c.Text, "{prompt}", text)
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

// ModalityKey is the name of a modality in the configuration and in
// summary.json: image_text or text.
func ModalityKey(m dataset.Modality) string {
	if m == dataset.Text {
		return "text"
	}
	return "image_text"
}

// ModalityKeys are the names of all modalities in the order they are shown.
var ModalityKeys = []string{"image_text", "text"}

// ParseModality is the inverse of ModalityKey.
func ParseModality(key string) (dataset.Modality, error) {
	switch key {
	case "image_text":
		return dataset.ImageText, nil
	case "text":
		return dataset.Text, nil
	}
	return "", fmt.Errorf("eval.modalities: %q; take image_text or text", key)
}
