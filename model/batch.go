package model

import (
	"fmt"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
)

// Batch is a set of packed sequences on the device: their tokens as rows behind
// each other, without padding, with what every part of the model has to know of a
// row. Any number of passes may read it.
//
// It has an owner from Pack to Release. Passes that were queued before Release may
// still be reading it; a recorded pass reads it until Backward is done, which has
// to be queued before Release, too.
type Batch struct {
	// Features, when given, are the projected image features to use instead of
	// running the vision tower, as ImageFeatures gives them: a teacher and a
	// student that share a frozen tower compute them once.
	Features backend.Tensor

	m      *Model
	tokens int
	images int
	seqs   backend.Seqs
	vision family.Images

	ids, rows, imageRows, slots backend.Tensor // I32
	cos, sin                    backend.Tensor // F32, [tokens, headDim/2]
	pixels                      backend.Tensor // F32, all images' behind each other
	cached                      backend.Seqs   // rows of the cache, in generation
	pass                        nn.DecoderPass

	staging          family.Staging
	positions        []nn.Position
	next             []int32 // position behind the end of each sequence
	seqStart, seqLen []int32
}

// Tokens is the number of rows.
func (b *Batch) Tokens() int { return b.tokens }

// Images is the number of images.
func (b *Batch) Images() int { return b.images }

// Start is the first row of sequence i.
func (b *Batch) Start(i int) int { return int(b.seqs.Start[i]) }

// Len is the number of rows of sequence i.
func (b *Batch) Len(i int) int { return int(b.seqs.Len[i]) }

// Pack checks the sequences and uploads them. The batch is for passes of this
// model only, of any of its views.
func (v View) Pack(seqs []Sequence) (*Batch, error) {
	m := v.m
	for i := range seqs {
		if err := m.Config.Check(&seqs[i]); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	b := m.batch()
	for i := range seqs {
		s := &seqs[i]
		b.seqStart = append(b.seqStart, int32(b.tokens))
		b.seqLen = append(b.seqLen, int32(len(s.IDs)))
		b.tokens += len(s.IDs)
		b.images += len(s.Images)
	}
	if err := b.fill(seqs); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// batch takes the batch that was released first, or makes one. Where the device
// copies beside its operations, the last one released is left alone: its passes
// may still be queued, and what is packed next arrives while they run.
func (m *Model) batch() *Batch {
	var b *Batch
	keep := 0
	if m.Backend().Traits().Overlaps {
		keep = 1
	}
	if len(m.free) > keep {
		b = m.free[0]
		m.free = m.free[:copy(m.free, m.free[1:])]
	} else {
		b = &Batch{m: m, vision: m.net.Images()}
	}
	b.tokens, b.images, b.Features, b.slots = 0, 0, backend.Tensor{}, backend.Tensor{}
	b.seqStart, b.seqLen = b.seqStart[:0], b.seqLen[:0]
	b.positions, b.next = b.positions[:0], b.next[:0]
	b.staging.Reset()
	return b
}

// Release gives the batch's memory to a later Pack of the model.
func (b *Batch) Release() { b.m.free = append(b.m.free, b) }

// fill stages everything the passes read and uploads it.
func (b *Batch) fill(seqs []Sequence) error {
	m, c, to := b.m, b.m.Config, &b.staging
	to.Begin(&b.ids, 1)
	for i := range seqs {
		for _, id := range seqs[i].IDs {
			if int(id) == c.ImageTokenID {
				id = -1 // the row is overwritten: no embedding, no gradient
			}
			to.Put(id)
		}
	}
	to.Begin(&b.rows, 2)
	for i := range seqs {
		for p := range seqs[i].IDs {
			to.Put(int32(seqs[i].Sample), int32(p))
		}
	}
	to.Begin(&b.imageRows, 1)
	row := int32(0)
	for i := range seqs {
		for _, id := range seqs[i].IDs {
			if int(id) == c.ImageTokenID {
				to.Put(row)
			}
			row++
		}
	}
	b.seqs = to.Sequences(b.seqStart, b.seqLen, &b.seqs.Dev)
	pixels := 0
	for i := range seqs {
		from := len(b.positions)
		b.positions = c.Family.Positions(c, &seqs[i], b.positions)
		b.next = append(b.next, after(b.positions[from:]))
		for _, img := range seqs[i].Images {
			pixels += len(img.Pixels)
		}
	}
	b.angles()
	if b.images > 0 {
		b.vision.Stage(to, seqs)
	}
	if err := to.Upload(m.Backend(), pixels); err != nil {
		return err
	}
	b.pixels = to.Room(pixels)
	at := 0
	for i := range seqs {
		for _, img := range seqs[i].Images {
			m.Backend().Upload(backend.View(b.pixels.Buf, b.pixels.Off+at, 1, len(img.Pixels)), img.Pixels)
			at += len(img.Pixels)
		}
	}
	return nil
}

// after is the position of the token that follows those at ps.
func after(ps []nn.Position) int32 {
	next := int32(0)
	for _, p := range ps {
		next = max(next, p[0]+1, p[1]+1, p[2]+1)
	}
	return next
}

// angles stages the rotary tables of b.positions.
func (b *Batch) angles() {
	r, sections := &b.m.rope, b.m.Config.Text.RoPE.Sections
	r.Grow(int(after(b.positions)))
	to := &b.staging
	to.BeginFloats(&b.cos, r.Pairs())
	for _, p := range b.positions {
		to.Floats = r.Row(to.Floats, r.Cos, p, sections)
	}
	to.BeginFloats(&b.sin, r.Pairs())
	for _, p := range b.positions {
		to.Floats = r.Row(to.Floats, r.Sin, p, sections)
	}
}
