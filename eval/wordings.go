package eval

import (
	"fmt"
	"strings"

	"vgid/eval/prompts"
)

// Chat is the model's turn, once for a question with an image and once without.
// {prompt} stands for the question; Image has one ImageMark.
type Chat struct{ Image, Text string }

// LLaVAChat is the turn of LLaVA-1.5.
var LLaVAChat = Chat{Image: "USER: <image>\n{prompt}\nASSISTANT:", Text: "USER: {prompt}\nASSISTANT:"}

// The benchmark's sentences, as its evaluation script writes them: a word that is changed
// makes results that compare with nobody's.
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
// The option's text and not its letter is scored: a small model finds the word first.
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

// wrap puts a body into the chat's turn with an image, and another into the one without.
func (c Chat) wrap(image, text string) (string, string) {
	return strings.ReplaceAll(c.Image, "{prompt}", image), strings.ReplaceAll(c.Text, "{prompt}", text)
}
