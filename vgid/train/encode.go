package train

import (
	"fmt"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
	"vgid/model"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/vgid/ask"
	"vgid/vgid/config"
)

// Encoder is a Reader of samples. The benchmark's images are kept, so that each
// is decoded once as long as they are not too large together.
type Encoder struct {
	*ask.Reader
	prompt config.Prompt
	turn   *ask.Turn // as the chat template writes it; nil: the configuration's prompts
	end    int32     // the token that ends an answer
	images map[*dataset.Image]imaging.Image
	order  []*dataset.Image                // of images, the oldest first
	held   int                             // values in images
	grids  map[*dataset.Image]imaging.Grid // of all images seen so far
}

// KeepPixels bounds the images that are kept, in values: 1 GiB. Those of a
// LLaVA take a third of a million, a photo for Qwen easily ten times that.
const KeepPixels = 1 << 28

// NewEncoder prepares the tokenizer and image processor of the model's folder.
func NewEncoder(d *modeldir.Dir, m *model.Model, prompt config.Prompt) (*Encoder, error) {
	r, err := ask.OpenReader(d, m.Config)
	if err != nil {
		return nil, err
	}
	e := &Encoder{Reader: r, prompt: prompt, images: map[*dataset.Image]imaging.Image{}, grids: map[*dataset.Image]imaging.Grid{}}
	if eos, ok := r.Tokenizer().EOS(); ok {
		e.end = eos
	} else {
		return nil, fmt.Errorf("%s: the tokenizer has no end-of-sequence token (eos_token in tokenizer_config.json)", d.Path())
	}
	if prompt.Template != config.ChatTemplate {
		return e, nil
	}
	if err := e.takeTurns(); err != nil {
		return nil, fmt.Errorf("prompt.template: %w", err)
	}
	return e, nil
}

// Templates are the prompts in use: the configuration's, or those of the folder's
// chat template.
func (e *Encoder) Templates() config.Prompt { return e.prompt }

// takeTurns fills in the prompts of a configuration that leaves them to the chat
// template of the model's folder.
func (e *Encoder) takeTurns() error {
	image, err := e.Chat("{prompt}", 1)
	if err != nil {
		return err
	}
	text, err := e.Turn("{prompt}", 0)
	if err != nil {
		return err
	}
	e.prompt.Template = strings.Replace(image, e.Prompt(prompts.ImageMark), prompts.ImageMark, 1)
	e.prompt.Text, e.turn, e.end = text.Prompt, &text, text.End
	return nil
}

// View is a sample as one of the two models reads it, with the response
// teacher-forced. Row i of the hidden states predicts IDs[i+1].
type View struct {
	Seq   model.Sequence
	First int     // the row that predicts the first response token
	Next  []int32 // the response with its end token; row First+j predicts Next[j]
}

// Rows is the count of rows, that is of tokens fed.
func (v View) Rows() int { return len(v.Seq.IDs) }

// unseen are the pixels of an image that need not be looked at: for its tokens
// its size counts.
var unseen = []float32{}

// Encode renders a sample. instruction, when not empty, is prepended to the
// question; pixels, when not nil, replace the image's own.
func (e *Encoder) Encode(s Sample, instruction string, pixels []float32) (View, error) {
	question := s.Question
	for _, in := range []string{s.Instruction, instruction} {
		if in != "" {
			question = strings.ReplaceAll(in, "{subject}", s.Subject) + " " + question
		}
	}
	var images []imaging.Image
	if !s.Picture.None() {
		img := imaging.Image{Pixels: pixels}
		var err error
		switch {
		case pixels == nil:
			img, err = e.Image(s.Picture)
		case !e.OneSize():
			img.Grid, err = e.Grid(s.Picture)
		}
		if err != nil {
			return View{}, err
		}
		images = []imaging.Image{img}
	}
	prompt := e.Wrap(question, !s.Picture.None())
	ids, first, err := e.Response(prompt, s.Answer, images)
	if err != nil {
		return View{}, err
	}
	ids = append(ids, e.end)
	v := View{First: first - 1, Next: ids[first:]}
	v.Seq = model.Sequence{IDs: ids[: len(ids)-1 : len(ids)-1], Images: images, Sample: s.Key}
	if most := e.Config().Text.MaxPositions; len(v.Seq.IDs) > most {
		part := "answer to"
		switch {
		case first <= len(v.Next):
		case len(instruction) > len(s.Question):
			part = fmt.Sprintf("instruction %q before", ask.Clip(instruction))
		default:
			part = "question"
		}
		return View{}, fmt.Errorf("question and answer take %d tokens, the model reads %d at most (max_position_embeddings in config.json): shorten the %s %q", len(v.Seq.IDs), most, part, ask.Clip(s.Question))
	}
	return v, nil
}

// Wrap puts a question into the chat template.
func (e *Encoder) Wrap(question string, image bool) string {
	t := e.prompt.Text
	if image {
		t = e.prompt.Template
	}
	if e.turn != nil {
		question = e.turn.Asked(question)
	}
	return strings.ReplaceAll(t, "{prompt}", question)
}

// Response encodes a prompt and a response to it as one text, without the token
// that ends it, and gives the index of the response's first token.
func (e *Encoder) Response(prompt, text string, images []imaging.Image) (ids []int32, first int, err error) {
	lead := prompts.Lead(prompt)
	if e.turn != nil {
		lead, text = e.turn.Lead, e.turn.Said(text)
		if strings.HasSuffix(prompt, " ") { // an evaluation's wording
			lead = strings.TrimPrefix(lead, " ")
		}
	}
	if text == "" {
		lead = ""
	}
	ids, first, err = e.Answered(prompt, lead+text, images)
	if err == nil && first < len(ids) && ids[len(ids)-1] == e.end { // some tokenizers end every text
		ids = ids[:len(ids)-1]
	}
	return ids, first, err
}

// Image preprocesses a picture.
func (e *Encoder) Image(p Picture) (imaging.Image, error) {
	if p.Draw != nil {
		return e.Processor().Process(p.Draw)
	}
	if img, ok := e.images[p.File]; ok {
		return img, nil
	}
	decoded, err := imaging.Decode(p.File.Bytes, p.File.Where)
	if err != nil {
		return imaging.Image{}, fmt.Errorf("%w; fetch or build the file again", err)
	}
	img, err := e.Processor().Process(decoded)
	if err != nil {
		return imaging.Image{}, fmt.Errorf("%s: %w", p.File.Where, err)
	}
	e.grids[p.File] = img.Grid
	e.keep(p.File, img, KeepPixels)
	return img, nil
}

// Grid is the size of a picture. One that has been seen is not decoded again.
func (e *Encoder) Grid(p Picture) (imaging.Grid, error) {
	if g, ok := e.grids[p.File]; ok {
		return g, nil
	}
	img, err := e.Image(p)
	return img.Grid, err
}

// keep remembers an image and forgets the oldest ones beyond most values.
func (e *Encoder) keep(f *dataset.Image, img imaging.Image, most int) {
	e.images[f] = img
	e.order = append(e.order, f)
	e.held += len(img.Pixels)
	for e.held > most && len(e.order) > 1 {
		e.held -= len(e.images[e.order[0]].Pixels)
		delete(e.images, e.order[0])
		e.order = e.order[1:]
	}
}

// aligned lists the rows of teacher and student whose predictions are compared.
// The two sequences differ in length by the instruction, so they are aligned
// from both ends, never position by position: what follows the instruction is
// a common suffix, what precedes it a common prefix. (Rows that predict the
// instruction itself have no counterpart.)
func aligned(mask string, teacher, student View, imageID int32) (t, s []int32) {
	lt, ls := teacher.Rows(), student.Rows()
	from := student.First // first row of the common suffix that is compared
	if mask != "answer" {
		k := 0
		for k < min(lt, ls) && teacher.Seq.IDs[lt-1-k] == student.Seq.IDs[ls-1-k] {
			k++
		}
		from = ls - k
		if mask == "all" {
			p := 0
			for p < from && p < lt && teacher.Seq.IDs[p] == student.Seq.IDs[p] {
				t, s = append(t, int32(p)), append(s, int32(p))
				p++
			}
		} else {
			for i := from; i < ls; i++ { // the question's text, not the image
				if student.Seq.IDs[i] == imageID {
					from = i + 1
				}
			}
		}
	}
	for i := from; i < ls; i++ {
		t, s = append(t, int32(lt-ls+i)), append(s, int32(i))
	}
	return t, s
}
