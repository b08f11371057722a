package ask

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"os"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/model/tape"
)

// Asker is a loaded model with what its folder says about prompts: what `vgid
// forward` and `vgid generate` ask.
// The model is its own: whoever opened the Asker closes it (Model.Close).
type Asker struct {
	*Reader
	Model *model.Model
	// Render puts every prompt into the folder's chat template, as a user's
	// message behind its images. Prompts then have no marks of their own.
	Render bool
}

// Open loads a model folder and, where adapter is not empty, a PEFT
// adapter onto it.
// The folder stays the caller's. On an error nothing is left loaded.
func Open(ctx context.Context, be backend.Backend, d *modeldir.Dir, adapter string, o model.LoadOptions) (*Asker, error) {
	m, err := model.LoadDir(ctx, be, d, o)
	if err != nil {
		return nil, err
	}
	r, err := OpenReader(d, m.Config)
	if err == nil && adapter != "" {
		_, err = m.LoadAdapter(adapter, model.AdapterOptions{})
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return &Asker{Reader: r, Model: m}, nil
}

// Picture decodes and preprocesses an image file.
func (a *Asker) Picture(path string) (imaging.Image, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return imaging.Image{}, err
	}
	var img image.Image
	if img, err = imaging.Decode(raw, path); err != nil {
		return imaging.Image{}, err
	}
	out, err := a.proc.Process(img)
	if err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Sequence is a prompt as the model reads it: raw text in which every image of
// paths has a mark, unless the chat template puts them there.
func (a *Asker) Sequence(prompt string, paths []string) (model.Sequence, error) {
	s, _, err := a.Answered(prompt, "", paths)
	return s, err
}

// Answered is Sequence with an answer behind the prompt, and the index of the
// answer's first token. Behind a chat template the answer is the model's message,
// otherwise it is appended as it is.
func (a *Asker) Answered(prompt, answer string, paths []string) (s model.Sequence, first int, err error) {
	var images []imaging.Image
	for _, p := range paths {
		img, err := a.Picture(p)
		if err != nil {
			return s, 0, err
		}
		images = append(images, img)
	}
	return a.sequence(prompt, answer, images)
}

// sequence is Answered for pictures that are read.
// Only the grids of images are looked at, so that they may lack their pixels.
func (a *Asker) sequence(prompt, answer string, images []imaging.Image) (s model.Sequence, first int, err error) {
	s.Images = images
	if !a.Render {
		s.IDs, first, err = a.Reader.Answered(prompt, answer, s.Images)
		return s, first, err
	}
	t, err := a.Turn(prompt, len(images))
	if err != nil {
		return s, 0, err
	}
	if answer != "" {
		answer = t.Lead + t.Said(answer)
	}
	s.IDs, first, err = a.answered(t.Prompt, answer, s.Images)
	return s, first, err
}

// Pass is what Forward computes.
type Pass struct {
	Sequence model.Sequence
	// Labels are the tokens whose cross-entropy is the loss, -100 elsewhere:
	// Labels[i] is predicted by row i-1, as in transformers.
	Labels []int32
	Logits []float32 // [tokens, vocab]
	Loss   float64   // with gradients: the mean over the labels
	Grads  []hf.NamedTensor
}

// Forward runs one sequence. With grad set it also differentiates the mean
// cross-entropy of the tokens from first on for what the model trains. Logits
// that are not finite are a model.NotFiniteError.
//
// first 0 means all tokens: the loss of a text that is no answer. The first token has none,
// as nothing predicts it.
func (a *Asker) Forward(ctx context.Context, s model.Sequence, first int, grad bool) (*Pass, error) {
	m := a.Model
	out := &Pass{Sequence: s, Labels: make([]int32, len(s.IDs))}
	var rows, targets []int32
	for i := range s.IDs {
		if out.Labels[i] = -100; i >= max(1, first) {
			out.Labels[i] = s.IDs[i]
			rows, targets = append(rows, int32(i-1)), append(targets, s.IDs[i])
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("the prompt is one token: there is none whose loss could be taken")
	}
	b, err := m.Pack([]model.Sequence{s})
	if err != nil {
		return nil, err
	}
	defer b.Release()
	if a := m.Adapter(); a != nil {
		a.SetDropout(0) // the derivative of what is written, not of a draw around it
	}
	t := tape.For(m.Backend())
	defer t.Close()
	t.Reset(tape.Options{Grad: grad})
	if grad {
		m.ZeroGrads()
	}
	h := m.Hidden(t, b)
	logits := m.Logits(t, t.Value(h))
	out.Logits = make([]float32, logits.Len())
	if err := m.Backend().Download(out.Logits, logits); err != nil {
		return nil, err
	}
	for _, v := range out.Logits {
		if !backend.Finite(v) {
			why, err := m.WhyNotFinite(ctx, false)
			if err == nil {
				err = &model.NotFiniteError{Cause: why}
			}
			return nil, err
		}
	}
	if !grad {
		return out, t.Err()
	}
	return out, a.differentiate(t, h, rows, targets, out)
}

// differentiate fills in loss and gradients. Each row weighs the same, so that the loss is
// the mean that transformers reports.
func (a *Asker) differentiate(t *tape.Tape, h tape.Var, rows, targets []int32, out *Pass) error {
	weights := make([]float32, len(rows))
	for i := range weights {
		weights[i] = 1 / float32(len(rows))
	}
	loss := a.Model.CE(t, h, rows, targets, weights)
	if err := a.Model.Backward(t, nil); err != nil {
		return err
	}
	each := make([]float32, loss.Len())
	if err := loss.Download(each); err != nil {
		return err
	}
	for _, l := range each {
		out.Loss += float64(l) / float64(len(each))
	}
	return a.Model.EachGrad(func(name string, shape []int, g []float32) {
		out.Grads = append(out.Grads, hf.NamedTensor{Name: "grad." + name, Shape: shape, DType: "F32", Data: g})
	})
}

// Write stores the pass as safetensors: input_ids and labels [1, tokens] and,
// where there are images, pixel_values and image_grid_thw as the processor of
// transformers shapes them; logits [tokens, vocab]; loss [1] and grad.<name>.
// The inputs have the names and shapes that forward of transformers takes, so that they
// can be given to it as they are.
func (p *Pass) Write(path string, cfg *model.Config) error {
	ids, labels := p.Sequence.IDs, p.Labels
	n := len(ids)
	tensors := []hf.Stream{
		integers("input_ids", []int{1, n}, ids), integers("labels", []int{1, n}, labels),
		floats("logits", []int{n, cfg.Text.VocabSize}, p.Logits),
	}
	if images := p.Sequence.Images; len(images) > 0 {
		var pixels []float32
		var grids []int32
		for _, img := range images {
			pixels = append(pixels, img.Pixels...)
			grids = append(grids, int32(img.Grid.T), int32(img.Grid.H), int32(img.Grid.W))
		}
		shape := cfg.PixelShape(images)
		tensors = append(tensors, floats("pixel_values", shape, pixels))
		if images[0].Grid != (imaging.Grid{}) {
			tensors = append(tensors, integers("image_grid_thw", []int{len(images), 3}, grids))
		}
	}
	if p.Grads != nil {
		tensors = append(tensors, floats("loss", []int{1}, []float32{float32(p.Loss)}))
		for _, g := range p.Grads {
			tensors = append(tensors, floats(g.Name, g.Shape, g.Data))
		}
	}
	return hf.WriteStreams(path, tensors, map[string]string{"format": "pt"})
}

// integers is a tensor of I64, the type transformers has for ids.
func integers(name string, shape []int, v []int32) hf.Stream {
	return hf.Stream{Name: name, TensorInfo: hf.TensorInfo{DType: "I64", Shape: shape}, Raw: func() ([]byte, error) {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(x)))
		}
		return b, nil
	}}
}

// floats is a tensor of F32; without a first dimension it is one row.
func floats(name string, shape []int, v []float32) hf.Stream {
	info := hf.TensorInfo{DType: "F32", Shape: shape}
	width := len(v)
	if len(shape) > 0 && shape[0] > 0 {
		width /= shape[0]
	}
	return hf.Stream{Name: name, TensorInfo: info, Rows: func(dst []float32, from int) error {
		copy(dst, v[from*width:])
		return nil
	}}
}
