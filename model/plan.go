package model

import (
	"context"
	"fmt"

	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/hf/imaging"
	"vgid/model/tape"
)

// PlanOptions describe work whose memory is to be foretold.
type PlanOptions struct {
	Load   LoadOptions
	Adopts bool // the device takes mapped files as memory
	LoRA   LoRAConfig
	Batch  int // sequences of a pass
	Tokens int // of a sequence, those of its image included
	Answer int // of them those that have a loss
	Images int // of a sequence
	Side   int // of an image in pixels, for towers that take any size
	New    int // tokens generated
}

// Need is the memory of one step of work, in bytes.
type Need struct {
	Step        string `json:"step"`
	Weights     int64  `json:"weights"`     // that are copied to memory
	Mapped      int64  `json:"mapped"`      // that stay in the file; the system can drop and read them again
	Trained     int64  `json:"trained"`     // trained values, their gradients and moments
	Activations int64  `json:"activations"` // of the passes, the batch and the cache
	Total       int64  `json:"total"`       // the most that is allocated at once; without Mapped
	Parameters  int    `json:"parameters"`  // trained
}

// dry reports whether the device keeps no contents.
func (m *Model) dry() bool {
	_, ok := m.be.(interface{ Dry() })
	return ok
}

// Plan foretells the memory of the steps of work on the model in dir by taking
// them on a dry device: loading, a forward pass with all logits, a VGID step of
// an adapter and of all weights, each without and with recomputation, and
// generation. Nothing is read but headers.
func Plan(ctx context.Context, dir string, o PlanOptions) ([]Need, error) {
	var out []Need
	for _, s := range []struct {
		name string
		run  func(p *planned) error
	}{
		{"load", func(*planned) error { return nil }},
		{"forward", (*planned).forward},
		{"lora step", func(p *planned) error { return p.step(false, false) }},
		{"lora step, recompute", func(p *planned) error { return p.step(false, true) }},
		{"full step", func(p *planned) error { return p.step(true, false) }},
		{"full step, recompute", func(p *planned) error { return p.step(true, true) }},
		{"generate", (*planned).generate},
	} {
		n, err := plan(ctx, dir, o, s.run)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		n.Step = s.name
		out = append(out, n)
	}
	return out, nil
}

// planned is a model on a dry device.
type planned struct {
	m    *Model
	be   *dry.Backend
	o    PlanOptions
	need Need
}

func plan(ctx context.Context, dir string, o PlanOptions, run func(*planned) error) (Need, error) {
	device := &dry.Adopting{}
	p := &planned{be: &device.Backend, o: o}
	var be backend.Backend = p.be
	if o.Adopts {
		be = device
	}
	m, err := LoadAs(ctx, be, dir, o.Load)
	if err != nil {
		return Need{}, err
	}
	defer m.Close()
	p.m = m
	p.need.Weights, p.need.Mapped = p.be.Live(), p.be.Mapped()
	if err := run(p); err != nil {
		return Need{}, err
	}
	p.need.Total = p.be.Peak()
	p.need.Activations = p.need.Total - p.need.Weights - p.need.Trained
	return p.need, nil
}

// sequences are a batch of the planned sizes.
func (p *planned) sequences() ([]Sequence, error) {
	s, err := p.m.Config.Blank(p.o.Tokens, p.o.Images, p.o.Side)
	if err != nil {
		return nil, err
	}
	out := make([]Sequence, p.o.Batch)
	for i := range out {
		out[i] = s
		out[i].Sample = uint32(i)
	}
	return out, nil
}

func (p *planned) forward() error {
	seqs, err := p.sequences()
	if err != nil {
		return err
	}
	b, err := p.m.Pack(seqs)
	if err != nil {
		return err
	}
	defer b.Release()
	t := tape.For(p.m.be)
	defer t.Close()
	h := t.Value(p.m.Hidden(t, b))
	t.ScratchF32(h.Rows, p.m.Config.Text.VocabSize)
	return t.Err()
}

func (p *planned) generate() error {
	seqs, err := p.sequences()
	if err != nil {
		return err
	}
	_, err = p.m.Generate(context.Background(), seqs, GenerateOptions{MaxNew: p.o.New})
	return err
}

// step is one of VGID: the teacher's pass over as many tokens as the student's,
// the student's pass, and the update.
func (p *planned) step(full, recompute bool) error {
	m, before := p.m, p.be.Live()
	m.Recompute = recompute
	teacher := m
	var err error
	if full {
		if teacher, err = m.Clone(); err != nil {
			return err
		}
		defer teacher.Close()
		p.need.Weights = p.be.Live() // the student's leave it, the teacher's stay
		_, err = m.Trainable("*")
	} else {
		_, err = m.AddLoRA(p.o.LoRA)
	}
	if err != nil {
		return err
	}
	if full {
		p.need.Weights = before
	}
	_, p.need.Parameters = m.NumParameters()
	opt, err := m.NewOptimizer(OptimizerConfig{})
	if err != nil {
		return err
	}
	defer opt.Close()
	p.need.Trained = p.be.Live() - p.need.Weights
	seqs, err := p.sequences()
	if err != nil {
		return err
	}
	return vgidStep(m, teacher, seqs, p.o.Answer, opt)
}

// vgidStep takes the steps of vgid's Distill objective on the last rows of
// every sequence.
func vgidStep(m, teacher *Model, seqs []Sequence, answer int, opt *Optimizer) error {
	record, plain := tape.For(m.be), tape.For(m.be)
	defer record.Close()
	defer plain.Close()
	b, err := teacher.Pack(seqs)
	if err != nil {
		return err
	}
	var rows []int32
	var weights []float32
	for i := range seqs {
		for r := b.Len(i) - min(answer, b.Len(i)); r < b.Len(i); r++ {
			rows, weights = append(rows, int32(b.Start(i)+r)), append(weights, 1)
		}
	}
	teacher.SetAdapter(false)
	mark := plain.Mark()
	hidden := plain.Value(plain.Release(mark, teacher.Rows(plain, teacher.Hidden(plain, b), rows)))
	teacher.SetAdapter(true)
	b.Release()
	if b, err = m.Pack(seqs); err != nil {
		return err
	}
	defer b.Release()
	record.Reset(tape.Options{Grad: true})
	m.ZeroGrads()
	m.KL(record, m.Hidden(record, b), rows, hidden, weights, KLOptions{TeacherHead: teacher.BaseHead()})
	if err := m.Backward(record, nil); err != nil {
		return err
	}
	if err := opt.Step(1e-4); err != nil {
		return err
	}
	return m.be.Sync()
}

// Blank is a sequence of so many tokens that begins with that many images,
// black ones of side×side pixels where the tower takes any size.
func (c *Config) Blank(tokens, images, side int) (Sequence, error) {
	img := c.blankImage(side)
	var s Sequence
	text := int32(0)
	if c.ImageTokenID == 0 {
		text = 1
	}
	for range images {
		s.Images = append(s.Images, img)
		for range c.ImageTokens(img.Grid) {
			s.IDs = append(s.IDs, int32(c.ImageTokenID))
		}
		s.IDs = append(s.IDs, text)
	}
	if len(s.IDs) > tokens {
		return s, fmt.Errorf("%d tokens are too few for the %d of %d images", tokens, len(s.IDs), images)
	}
	for len(s.IDs) < tokens {
		s.IDs = append(s.IDs, text)
	}
	return s, nil
}

// blankImage is a black image.
func (c *Config) blankImage(side int) imaging.Image {
	v := &c.Vision
	if v.MergeSize == 0 {
		return imaging.Image{Pixels: make([]float32, v.Channels*v.ImageSize*v.ImageSize)}
	}
	unit := v.PatchSize * v.MergeSize
	n := max(1, (side+unit/2)/unit) * v.MergeSize
	g := imaging.Grid{T: 1, H: n, W: n}
	return imaging.Image{Grid: g, Pixels: make([]float32, g.Patches()*v.patchValues())}
}
