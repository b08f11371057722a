package vgid

import (
	"fmt"
	"strings"

	"vgid/model"
	"vgid/model/hf"
	"vgid/vgid/config"
	"vgid/vgid/data"
)

// imageMark is where an image stands in a prompt.
const imageMark = "<image>"

// Encoder turns samples into what a model reads: token ids with the images'
// placeholders expanded, and preprocessed images. Those of the benchmark are
// kept, so that each is decoded once.
type Encoder struct {
	tok     *hf.Tokenizer
	proc    hf.ImageProcessor
	prompt  config.Prompt
	imageID int32
	cfg     *model.Config
	eos     int32
	images  map[*data.Image]hf.Image
}

// NewEncoder prepares the tokenizer and image processor of the model's folder.
func NewEncoder(dir string, m *model.Model, prompt config.Prompt) (*Encoder, error) {
	tok, err := hf.LoadTokenizer(dir)
	if err != nil {
		return nil, err
	}
	proc, err := hf.LoadImageProcessor(dir)
	if err != nil {
		return nil, err
	}
	cfg := m.Config
	id, ok := tok.ID(imageMark)
	if !ok {
		return nil, fmt.Errorf("%s: tokenizer.json has no token %s for config.json's image_token_index %d: take the tokenizer that came with the model", dir, imageMark, cfg.ImageTokenID)
	}
	if int(id) != cfg.ImageTokenID {
		return nil, fmt.Errorf("%s: tokenizer.json gives %s the id %d, config.json's image_token_index says %d: the folder's files do not belong together", dir, imageMark, id, cfg.ImageTokenID)
	}
	if h, w := proc.Size(); h != cfg.Vision.ImageSize || w != cfg.Vision.ImageSize {
		return nil, fmt.Errorf("%s: the image processor makes %d×%d images, config.json's vision_config.image_size says %d: take the preprocessor_config.json that came with the model", dir, w, h, cfg.Vision.ImageSize)
	}
	eos, ok := tok.EOS()
	if !ok {
		return nil, fmt.Errorf("%s: the tokenizer has no end-of-sequence token (eos_token in tokenizer_config.json)", dir)
	}
	return &Encoder{
		tok: tok, proc: proc, prompt: prompt, imageID: id, eos: eos,
		cfg: cfg, images: map[*data.Image]hf.Image{},
	}, nil
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

// Encode renders a sample. instruction, when not empty, is prepended to the
// question; pixels, when not nil, replace the image's own.
func (e *Encoder) Encode(s Sample, instruction string, pixels []float32) (View, error) {
	question := s.Question
	for _, in := range []string{s.Instruction, instruction} {
		if in != "" {
			question = strings.ReplaceAll(in, "{subject}", s.Subject) + " " + question
		}
	}
	var images []hf.Image
	if !s.Picture.None() {
		img := hf.Image{Pixels: pixels}
		if pixels == nil || !e.oneSize() {
			own, err := e.Image(s.Picture)
			if err != nil {
				return View{}, err
			}
			if img.Grid = own.Grid; pixels == nil {
				img.Pixels = own.Pixels
			}
		}
		images = []hf.Image{img}
	}
	ids, err := e.Tokens(e.Wrap(question, !s.Picture.None()), images)
	if err != nil {
		return View{}, err
	}
	v := View{First: len(ids) - 1, Next: append(e.tok.Encode(" "+s.Answer, false), e.eos)}
	v.Seq = model.Sequence{IDs: append(ids, v.Next[:len(v.Next)-1]...), Images: images, Sample: s.Key}
	if most := e.cfg.Text.MaxPositions; len(v.Seq.IDs) > most {
		return View{}, fmt.Errorf("question and answer take %d tokens, the model reads %d at most (max_position_embeddings in config.json): shorten the answer to %q", len(v.Seq.IDs), most, clip(s.Question))
	}
	return v, nil
}

// Fits checks before a stage begins that the model can read every question of
// the people with its answer, and with any of the instructions. Found out when
// one is drawn, it would end a run that has been going for hours.
func (e *Encoder) Fits(set string, people []data.Profile, subject string, instructions []string) error {
	for i := range people {
		p := &people[i]
		for _, qa := range p.Train {
			s := personSample(p, qa, subject, data.Stream(0, "fits", 0))
			for _, u := range append([]string{""}, instructions...) {
				if _, err := e.Encode(s, u, []float32{}); err != nil {
					return fmt.Errorf("the %s set, person %s: %w", set, p.ID, err)
				}
			}
		}
	}
	return nil
}

// Wrap puts a question into the chat template.
func (e *Encoder) Wrap(question string, image bool) string {
	t := e.prompt.Text
	if image {
		t = e.prompt.Template
	}
	return strings.Replace(t, "{prompt}", question, 1)
}

// Tokens encodes a prompt, with the mark of each image expanded to the image's
// tokens.
func (e *Encoder) Tokens(prompt string, images []hf.Image) ([]int32, error) {
	ids := e.tok.Encode(prompt, true)
	out := make([]int32, 0, len(ids))
	n := 0
	for _, id := range ids {
		if id != e.imageID {
			out = append(out, id)
			continue
		}
		if n == len(images) {
			return nil, fmt.Errorf("prompt %q has more marks %s than its %d images", clip(prompt), imageMark, n)
		}
		for range e.cfg.ImageTokens(images[n].Grid) {
			out = append(out, id)
		}
		n++
	}
	if n != len(images) {
		return nil, fmt.Errorf("prompt %q: of %d images only %d have a mark %s that the tokenizer keeps whole", clip(prompt), len(images), n, imageMark)
	}
	return out, nil
}

// oneSize reports whether every image becomes as many tokens.
func (e *Encoder) oneSize() bool {
	h, _ := e.proc.Size()
	return h > 0
}

// Image preprocesses a picture.
func (e *Encoder) Image(p Picture) (hf.Image, error) {
	if p.Draw != nil {
		return e.proc.Process(p.Draw)
	}
	if img, ok := e.images[p.File]; ok {
		return img, nil
	}
	decoded, err := hf.DecodeImage(p.File.Bytes, p.File.Where)
	if err != nil {
		return hf.Image{}, fmt.Errorf("%w; fetch or build the file again", err)
	}
	img, err := e.proc.Process(decoded)
	if err != nil {
		return hf.Image{}, fmt.Errorf("%s: %w", p.File.Where, err)
	}
	e.images[p.File] = img
	return img, nil
}

// Decode turns generated ids into text.
func (e *Encoder) Decode(ids []int32) string {
	return strings.TrimSpace(e.tok.Decode(ids, true))
}

// Processor is the folder's image processor.
func (e *Encoder) Processor() hf.ImageProcessor { return e.proc }

func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
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
