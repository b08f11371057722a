package model

import (
	"fmt"
	"math"

	"vgid/model/backend"
	"vgid/model/tape"
)

// Sequence is one sample: token ids, in which every image is already expanded
// to NumImageTokens() placeholders, and its images in order.
type Sequence struct {
	IDs    []int32
	Pixels [][]float32 // planar CHW, normalised
	Sample uint32      // global number of the sample, keys its randomness
}

// Batch is a set of packed sequences on the device. Release returns its
// memory for the next Pack.
type Batch struct {
	// Features, when given, are the projected image features to use instead of
	// running the vision tower, [images·NumImageTokens(), d]: a teacher and a
	// student that share a frozen tower compute them once.
	Features backend.Tensor

	m      *Model
	tokens int
	images int
	seqs   backend.Seqs

	ids, rows, imageRows, slots              backend.Tensor // I32
	patchRows, classRows, positionRows       backend.Tensor
	featureRows, visionRows, projectorRows   backend.Tensor
	cos, sin, pixels                         backend.Tensor // F32
	visionAttention                          backend.Attention
	cached                                   backend.Seqs // rows of the cache, in generation
	pass                                     decoderPass
	segments                                 []segment
	visionSegments                           []visionSegment
	features                                 []tape.Var
	ints, floats                             backend.Buffer
	spans                                    []span
	hostInts                                 []int32
	hostFloats                               []float32
	seqStart, seqLen, visionStart, visionLen []int32
}

// Tokens is the number of rows.
func (b *Batch) Tokens() int { return b.tokens }

// Images is the number of images.
func (b *Batch) Images() int { return b.images }

// Start is the first row of sequence i.
func (b *Batch) Start(i int) int { return int(b.seqs.Start[i]) }

// Len is the number of rows of sequence i.
func (b *Batch) Len(i int) int { return int(b.seqs.Len[i]) }

// ropeTable holds cosines and sines of the positions met so far.
type ropeTable struct {
	inv      []float64
	cos, sin []float32
}

func (r *ropeTable) grow(positions int) {
	for pos := len(r.cos) / len(r.inv); pos < positions; pos++ {
		for _, f := range r.inv {
			s, c := math.Sincos(float64(pos) * f)
			r.cos, r.sin = append(r.cos, float32(c)), append(r.sin, float32(s))
		}
	}
}

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
		b.images += len(s.Pixels)
	}
	b.seqs = backend.Seqs{Start: b.seqStart, Len: b.seqLen}
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
	images := 0
	for i, id := range s.IDs {
		if id < 0 || int(id) >= c.Text.VocabSize {
			return fmt.Errorf("token %d has id %d, the vocabulary has %d", i, id, c.Text.VocabSize)
		}
		if int(id) == c.ImageTokenID {
			images++
		}
	}
	if want := len(s.Pixels) * c.NumImageTokens(); images != want {
		return fmt.Errorf("%d image tokens in the text, but %d images of %d tokens", images, len(s.Pixels), c.NumImageTokens())
	}
	v := &c.Vision
	for i, p := range s.Pixels {
		if want := v.Channels * v.ImageSize * v.ImageSize; len(p) != want {
			return fmt.Errorf("image %d has %d values, the tower takes %dx%dx%d", i, len(p), v.Channels, v.ImageSize, v.ImageSize)
		}
	}
	return nil
}

// batch takes a released batch or makes one.
func (m *Model) batch() *Batch {
	var b *Batch
	if n := len(m.free); n > 0 {
		b = m.free[n-1]
		m.free = m.free[:n-1]
	} else {
		b = &Batch{m: m, segments: make([]segment, m.Config.Text.Layers), visionSegments: make([]visionSegment, m.Config.visionDepth())}
	}
	b.tokens, b.images, b.Features, b.slots = 0, 0, backend.Tensor{}, backend.Tensor{}
	b.seqStart, b.seqLen, b.visionStart, b.visionLen = b.seqStart[:0], b.seqLen[:0], b.visionStart[:0], b.visionLen[:0]
	b.spans, b.hostInts, b.hostFloats = b.spans[:0], b.hostInts[:0], b.hostFloats[:0]
	return b
}

// Release gives the batch's memory to the model's next Pack. A recorded pass
// reads it until Backward is done.
func (b *Batch) Release() { b.m.free = append(b.m.free, b) }

func (b *Batch) free() {
	for _, buf := range [...]backend.Buffer{b.ints, b.floats} {
		if buf != nil {
			b.m.be.Free(buf)
		}
	}
	b.ints, b.floats = nil, nil
}

// span is a piece of the host staging memory that becomes a tensor.
type span struct {
	dst  *backend.Tensor
	from int
	cols int
}

// begin starts the piece that becomes dst; put adds to it.
func (b *Batch) begin(dst *backend.Tensor, cols int) {
	b.spans = append(b.spans, span{dst, len(b.hostInts), cols})
}

func (b *Batch) put(v ...int32) { b.hostInts = append(b.hostInts, v...) }

// fill stages everything the passes read and uploads it in two copies.
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
	b.begin(&b.seqs.Dev, 2)
	for i := range b.seqStart {
		b.put(b.seqStart[i], b.seqLen[i])
	}
	b.stageVision(seqs)
	if err := b.uploadInts(); err != nil {
		return err
	}

	longest := 0
	for i := range seqs {
		longest = max(longest, len(seqs[i].IDs))
	}
	m.rope.grow(longest)
	half := len(m.rope.inv)
	for _, table := range [...][]float32{m.rope.cos, m.rope.sin} {
		for i := range seqs {
			b.hostFloats = append(b.hostFloats, table[:len(seqs[i].IDs)*half]...)
		}
	}
	v := &c.Vision
	size := v.Channels * v.ImageSize * v.ImageSize
	if err := b.uploadFloats(half, b.images*size); err != nil {
		return err
	}
	b.pixels = backend.View(b.floats, 2*b.tokens*half, b.images, size)
	n := 0
	for i := range seqs {
		for _, p := range seqs[i].Pixels {
			m.be.Upload(b.pixels.RowRange(n, n+1), p)
			n++
		}
	}
	return nil
}

// stageVision lays out the rows of the vision tower: per image the class token
// and then the patches.
func (b *Batch) stageVision(seqs []Sequence) {
	c := b.m.Config
	patches := int32(c.Vision.patches())
	rows := patches + 1
	b.begin(&b.patchRows, 1)
	for i := range int32(b.images) {
		b.put(-1)
		for p := range patches {
			b.put(i*patches + p)
		}
	}
	b.begin(&b.classRows, 1)
	for range b.images {
		b.put(0)
		for range patches {
			b.put(-1)
		}
	}
	b.begin(&b.positionRows, 1)
	for range b.images {
		for p := range rows {
			b.put(p)
		}
	}
	skip := rows - int32(c.NumImageTokens())
	b.begin(&b.featureRows, 1)
	for i := range int32(b.images) {
		for p := skip; p < rows; p++ {
			b.put(i*rows + p)
		}
	}
	b.begin(&b.visionRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Pixels)) * rows {
			b.put(int32(seqs[i].Sample), p)
		}
	}
	b.begin(&b.projectorRows, 2)
	for i := range seqs {
		for p := range int32(len(seqs[i].Pixels)) * (rows - skip) {
			b.put(int32(seqs[i].Sample), p)
		}
	}
	a := &b.visionAttention
	for i := range int32(b.images) {
		b.visionStart, b.visionLen = append(b.visionStart, i*rows), append(b.visionLen, rows)
	}
	b.begin(&a.Q.Dev, 2)
	for i := range b.visionStart {
		b.put(b.visionStart[i], b.visionLen[i])
	}
	a.Q.Start, a.Q.Len = b.visionStart, b.visionLen
	a.Heads, a.KVHeads, a.HeadDim = c.Vision.Heads, c.Vision.Heads, c.Vision.HiddenSize/c.Vision.Heads
	a.Scale = float32(invSqrt(a.HeadDim))
}

// uploadInts copies the staged indices to the device and points the spans'
// tensors at them.
func (b *Batch) uploadInts() error {
	n := len(b.hostInts)
	if err := grow(b.m.be, &b.ints, backend.I32, n); err != nil {
		return err
	}
	b.m.be.UploadInts(backend.View(b.ints, 0, n, 1), b.hostInts)
	for i, s := range b.spans {
		end := n
		if i+1 < len(b.spans) {
			end = b.spans[i+1].from
		}
		*s.dst = backend.View(b.ints, s.from, (end-s.from)/s.cols, s.cols)
	}
	b.visionAttention.KV = b.visionAttention.Q
	return nil
}

// uploadFloats copies the staged cosines and sines, with room for more behind.
func (b *Batch) uploadFloats(half, more int) error {
	n := len(b.hostFloats)
	if err := grow(b.m.be, &b.floats, backend.F32, n+more); err != nil {
		return err
	}
	b.m.be.Upload(backend.View(b.floats, 0, n/half, half), b.hostFloats)
	b.cos = backend.View(b.floats, 0, b.tokens, half)
	b.sin = backend.View(b.floats, b.tokens*half, b.tokens, half)
	return nil
}

// grow makes sure that buf holds n elements; its content is not kept.
func grow(be backend.Backend, buf *backend.Buffer, dt backend.DType, n int) error {
	if *buf != nil && (*buf).Len() >= n {
		return nil
	}
	if *buf != nil {
		be.Free(*buf)
		*buf = nil
	}
	b, err := be.Alloc(dt, n+n/4)
	if err != nil {
		return fmt.Errorf("no memory for a batch: %w", err)
	}
	*buf = b
	return nil
}
