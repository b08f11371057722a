package model

import (
	"fmt"

	"vgid/model/backend"
	"vgid/model/hf/imaging"
)

// Sequence is one sample: token ids, in which every image is already expanded
// to its ImageTokens() placeholders, and its images in order.
type Sequence struct {
	IDs    []int32
	Images []imaging.Image
	Sample uint32 // global number of the sample, keys its randomness
}

// Batch is a set of packed sequences on the device. Release returns its
// memory for the next Pack.
type Batch struct {
	// Features, when given, are the projected image features to use instead of
	// running the vision tower, as ImageFeatures gives them: a teacher and a
	// student that share a frozen tower compute them once.
	Features backend.Tensor

	m      *Model
	tokens int
	images int
	seqs   backend.Seqs
	vision imageBatch

	ids, rows, imageRows, slots backend.Tensor // I32
	cos, sin                    backend.Tensor // F32, [tokens, headDim/2]
	pixels                      backend.Tensor // F32, all images' behind each other
	cached                      backend.Seqs   // rows of the cache, in generation
	pass                        decoderPass
	segments                    []segment

	staging
	positions        []position
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
// model only.
func (m *Model) Pack(seqs []Sequence) (*Batch, error) {
	for i := range seqs {
		if err := m.check(&seqs[i]); err != nil {
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

func (m *Model) check(s *Sequence) error {
	c := m.Config
	if len(s.IDs) == 0 {
		return fmt.Errorf("no tokens")
	}
	if len(s.IDs) > c.Text.MaxPositions {
		return fmt.Errorf("%d tokens are more than max_position_embeddings %d of the model", len(s.IDs), c.Text.MaxPositions)
	}
	for i, id := range s.IDs {
		if id < 0 || int(id) >= c.Text.VocabSize {
			return fmt.Errorf("token %d has id %d, the vocabulary has %d", i, id, c.Text.VocabSize)
		}
	}
	return m.family.checkImages(c, s)
}

// batch takes the batch that was released first, or makes one. Where the device
// copies beside its operations, the last one released is left alone: its passes
// may still be queued, and what is packed next arrives while they run.
func (m *Model) batch() *Batch {
	var b *Batch
	keep := 0
	if _, ok := m.be.(backend.HostCopier); ok {
		keep = 1
	}
	if len(m.free) > keep {
		b = m.free[0]
		m.free = m.free[:copy(m.free, m.free[1:])]
	} else {
		b = &Batch{m: m, segments: make([]segment, m.Config.Text.Layers), vision: m.net.images(m)}
	}
	b.tokens, b.images, b.Features, b.slots = 0, 0, backend.Tensor{}, backend.Tensor{}
	b.seqStart, b.seqLen = b.seqStart[:0], b.seqLen[:0]
	b.positions, b.next = b.positions[:0], b.next[:0]
	b.staging.reset()
	return b
}

// Release gives the batch's memory to the model's next Pack. A recorded pass
// reads it until Backward is done.
func (b *Batch) Release() { b.m.free = append(b.m.free, b) }

// fill stages everything the passes read and uploads it.
func (b *Batch) fill(seqs []Sequence) error {
	m, c := b.m, b.m.Config
	b.begin(&b.ids, 1)
	for i := range seqs {
		for _, id := range seqs[i].IDs {
			if int(id) == c.ImageTokenID {
				id = -1 // the row is overwritten: no embedding, no gradient
			}
			b.put(id)
		}
	}
	b.begin(&b.rows, 2)
	for i := range seqs {
		for p := range seqs[i].IDs {
			b.put(int32(seqs[i].Sample), int32(p))
		}
	}
	b.begin(&b.imageRows, 1)
	row := int32(0)
	for i := range seqs {
		for _, id := range seqs[i].IDs {
			if int(id) == c.ImageTokenID {
				b.put(row)
			}
			row++
		}
	}
	b.seqs = b.sequences(b.seqStart, b.seqLen, &b.seqs.Dev)
	pixels := 0
	for i := range seqs {
		from := len(b.positions)
		b.positions = m.family.positions(c, &seqs[i], b.positions)
		b.next = append(b.next, after(b.positions[from:]))
		for _, img := range seqs[i].Images {
			pixels += len(img.Pixels)
		}
	}
	b.angles()
	if b.images > 0 {
		b.vision.stage(b, seqs)
	}
	if err := b.upload(m.be, pixels); err != nil {
		return err
	}
	b.pixels = b.room(pixels)
	at := 0
	for i := range seqs {
		for _, img := range seqs[i].Images {
			m.be.Upload(backend.View(b.pixels.Buf, b.pixels.Off+at, 1, len(img.Pixels)), img.Pixels)
			at += len(img.Pixels)
		}
	}
	return nil
}

// after is the position of the token that follows those at ps.
func after(ps []position) int32 {
	next := int32(0)
	for _, p := range ps {
		next = max(next, p[0]+1, p[1]+1, p[2]+1)
	}
	return next
}

// angles stages the rotary tables of b.positions.
func (b *Batch) angles() {
	r, sections := &b.m.rope, b.m.Config.Text.RoPE.Sections
	r.grow(int(after(b.positions)))
	b.beginFloats(&b.cos, len(r.inv))
	for _, p := range b.positions {
		b.floats = r.row(b.floats, r.cos, p, sections)
	}
	b.beginFloats(&b.sin, len(r.inv))
	for _, p := range b.positions {
		b.floats = r.row(b.floats, r.sin, p, sections)
	}
}
