package ask

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"vgid/eval/prompts"
	"vgid/model"
	"vgid/model/decoding"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/model/hf/tokenizer"
	"vgid/model/kit/plaintext"
)

// Reader turns prompts and pictures into what a model reads, by the tokenizer
// and image processor of its folder: token ids in which the mark of an image
// is expanded to the image's placeholders, and preprocessed images.
//
// What must hold: mark is one token, imageID, of the tokenizer and of the config alike;
// and nothing of it changes once it is opened.
type Reader struct {
	dir  string
	tok  *tokenizer.Tokenizer
	proc imaging.Processor
	cfg  *model.Config

	mark    string // the token that stands for an image
	written string // an image in a prompt: the mark and what belongs around it
	imageID int32
	video   string  // the token that stands for a video, "" where there is none
	ends    []int32 // tokens that end an answer
	change  decoding.Settings
	stops   []string // stop_strings, which stay in the answer
	notices []string

	template func() (*tokenizer.ChatTemplate, error) // read when it is first asked for, once
}

// OpenReader takes the tokenizer and image processor of a model folder and checks
// that they belong to its config. The Reader keeps to the files as they are now.
func OpenReader(d *modeldir.Dir, cfg *model.Config) (*Reader, error) {
	tok, err := d.Tokenizer()
	if err != nil {
		return nil, err
	}
	proc, err := d.Processor()
	if err != nil {
		return nil, err
	}
	dir := d.Path()
	r := &Reader{dir: dir, tok: tok, proc: proc, cfg: cfg, imageID: int32(cfg.ImageTokenID)}
	r.template = sync.OnceValues(d.ChatTemplate)
	m := cfg.Mark()
	r.mark, r.written = m.Token, m.Written
	id, ok := tok.ID(r.mark)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: tokenizer.json has no token %s for config.json's image token %d: take the tokenizer that came with the model", dir, r.mark, cfg.ImageTokenID)
	case id != r.imageID:
		return nil, fmt.Errorf("%s: tokenizer.json gives %s the id %d, config.json says %d: the folder's files do not belong together", dir, r.mark, id, cfg.ImageTokenID)
	}
	for _, t := range m.Around {
		if id, ok := tok.ID(t.Text); !ok || int(id) != t.ID {
			return nil, fmt.Errorf("%s: tokenizer.json does not give %s the id %d of config.json: take the tokenizer that came with the model", dir, t.Text, t.ID)
		}
	}
	if m.VideoID > 0 && m.VideoID < tok.Size() {
		r.video = tok.Token(int32(m.VideoID))
	}
	if tok.Size() > cfg.Text.VocabSize {
		return nil, fmt.Errorf("%s: tokenizer.json has %d tokens, config.json's vocab_size is %d: the folder's files do not belong together", dir, tok.Size(), cfg.Text.VocabSize)
	}
	if err := cfg.Family.CheckProcessor(cfg, r.proc); err != nil {
		return nil, fmt.Errorf("%s: %w: take the processor_config.json or preprocessor_config.json that came with the model", r.dir, err)
	}
	return r, r.readGeneration(d)
}

// readGeneration collects what the folder's files say about answers. End tokens
// are those of generation_config.json, or of config.json without that file; a
// folder that names none there ends answers at the tokenizer's.
// Settings that a vocabulary of this size cannot have are an error.
func (r *Reader) readGeneration(d *modeldir.Dir) error {
	g, err := d.Generation()
	if err != nil {
		return err
	}
	r.change, r.stops = g.Decoding(), g.StopStrings
	if err := r.change.Validate(r.cfg.Text.VocabSize); err != nil {
		return fmt.Errorf("%s: generation_config.json: %w", r.dir, err)
	}
	r.notices = append(r.notices, r.tok.Notices()...)
	eos, named := r.tok.EOS()
	switch r.ends = g.EOS; {
	case len(r.ends) == 0 && named:
		r.ends = []int32{eos}
		r.notices = append(r.notices, fmt.Sprintf("%s: no eos_token_id says where answers end, so they end at the tokenizer's eos_token %s; generate of transformers would not end them: write it into generation_config.json", r.dir, r.tok.Token(eos)))
	case named && !slices.Contains(r.ends, eos):
		r.notices = append(r.notices, fmt.Sprintf("%s: answers end at eos_token_id %v, which does not hold the tokenizer's eos_token %s (%d): training ends answers with that token, generation will go on behind it; add it to eos_token_id in generation_config.json", r.dir, r.ends, r.tok.Token(eos), eos))
	}
	return nil
}

// Notices are things about the folder that a user should know, one line each.
func (r *Reader) Notices() []string { return r.notices }

// Prompt is how the model writes a prompt: every <image> becomes its own form
// of an image.
func (r *Reader) Prompt(prompt string) string {
	if r.written == prompts.ImageMark {
		return prompt
	}
	return strings.ReplaceAll(prompt, prompts.ImageMark, r.written)
}

// Unmarked refuses a text of a data set that holds the mark of an image or a
// video: it is shown as text, and a model counts the marks.
func (r *Reader) Unmarked(text string) error {
	if at, m := r.marked(text); m != "" {
		return fmt.Errorf("%q holds %s, which stands for a picture: take it out of the data", clipAround(text, at), m)
	}
	return nil
}

// Unmark takes such marks out of a text that a model wrote.
// It begins anew after each: what is left and right of a mark may make another.
func (r *Reader) Unmark(text string) string {
	for {
		at, m := r.marked(text)
		if m == "" {
			return text
		}
		text = text[:at] + text[at+len(m):]
	}
}

// marked is the place of a mark in a text, and which it is; "" without one.
func (r *Reader) marked(text string) (at int, mark string) {
	for _, m := range []string{prompts.ImageMark, r.mark, r.video} {
		if at := strings.Index(text, m); m != "" && at >= 0 {
			return at, m
		}
	}
	return 0, ""
}

// Tokens encodes a prompt, with the mark of each image expanded to the image's
// tokens.
func (r *Reader) Tokens(prompt string, images []imaging.Image) ([]int32, error) {
	ids, _, err := r.Answered(prompt, "", images)
	return ids, err
}

// Answered encodes a prompt and its answer as one text, as they are trained on
// elsewhere and as a model writes them, and gives the index of the answer's first
// token. Only the prompt has marks of images.
func (r *Reader) Answered(prompt, answer string, images []imaging.Image) (ids []int32, first int, err error) {
	return r.answered(r.Prompt(prompt), answer, images)
}

// answered is Answered for a prompt in the model's own writing.
// The text is refused where it is not UTF-8, holds a video, or holds an image's mark in
// the answer, since what an answer shows cannot be a picture.
func (r *Reader) answered(prompt, answer string, images []imaging.Image) (ids []int32, first int, err error) {
	if err := plaintext.Check([]byte(prompt + answer)); err != nil {
		return nil, 0, fmt.Errorf("prompt %q: %w", Clip(prompt+answer), err)
	}
	ids, first = r.tok.EncodeAnswered(prompt, answer)
	if id, ok := r.tok.ID(r.video); r.video != "" && ok && slices.Contains(ids, id) {
		return nil, 0, fmt.Errorf("prompt %q holds %s, which stands for a video: videos are not supported", clipAround(prompt+answer, strings.Index(prompt+answer, r.video)), r.video)
	}
	if slices.Contains(ids[first:], r.imageID) {
		return nil, 0, fmt.Errorf("answer %q holds the image's mark %s, which stands for an image: take it out", Clip(answer), r.mark)
	}
	own, err := r.expand(prompt, ids[:first], images)
	return append(own, ids[first:]...), len(own), err
}

// expand puts the tokens of each image in the place of its mark among a
// prompt's ids.
func (r *Reader) expand(prompt string, ids []int32, images []imaging.Image) ([]int32, error) {
	out := make([]int32, 0, len(ids))
	n := 0
	for _, id := range ids {
		if id != r.imageID {
			out = append(out, id)
			continue
		}
		if n == len(images) {
			return nil, fmt.Errorf("prompt %q has more marks %s than its %d images", Clip(prompt), r.mark, n)
		}
		for range r.cfg.ImageTokens(images[n].Grid) {
			out = append(out, id)
		}
		n++
	}
	if n != len(images) {
		return nil, fmt.Errorf("prompt %q: of %d images only %d have a mark: write %s where each goes", Clip(prompt), len(images), n, r.written)
	}
	return out, nil
}

// Greedy is how the folder's files let the model answer when nothing is drawn:
// where an answer of at most so many tokens ends, and what changes its logits.
func (r *Reader) Greedy(most int) model.GenerateOptions {
	return model.GenerateOptions{MaxNew: most, EOS: r.ends, Decoding: r.change, Stop: r.stopper(r.stops, false)}
}

// ImageID is the token that stands for a piece of an image.
func (r *Reader) ImageID() int32 { return r.imageID }

// Config is the model's.
func (r *Reader) Config() *model.Config { return r.cfg }

// Tokenizer is the folder's tokenizer.
func (r *Reader) Tokenizer() *tokenizer.Tokenizer { return r.tok }

// OneSize reports whether every image becomes as many tokens.
// Qwen's processors keep a picture's shape, so that each has a number of its own.
func (r *Reader) OneSize() bool {
	h, _ := r.proc.Size()
	return h > 0
}

// Decode turns generated ids into text.
// Special tokens and white space at the ends are left out.
func (r *Reader) Decode(ids []int32) string {
	return strings.TrimSpace(r.tok.Decode(ids, true))
}

// Processor is the folder's image processor.
func (r *Reader) Processor() imaging.Processor { return r.proc }

// clipAround is Clip of a text from a little before the byte at on.
func clipAround(s string, at int) string {
	if before := []rune(s[:max(at, 0)]); len(before) > 30 {
		return "…" + Clip(string(before[len(before)-30:])+s[at:])
	}
	return Clip(s)
}

// Clip is the beginning of a text that an error quotes.
func Clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}
