package family

import (
	"fmt"

	"vgid/model/backend"
)

// Staging is host memory in which a batch lays out its indices and tables, and
// the device memory they go to: one copy for the integers, one for the floats.
//
// What is appended between two Begins belongs to the first of them, so pieces are
// laid out one after the other; the tensors are set by Upload and hold until the
// next one.
type Staging struct {
	Ints   []int32   // of the piece begun last, behind those before it
	Floats []float32 // likewise
	spans  []span

	intBuf, floatBuf backend.Buffer
}

// span is a piece of the staging memory that becomes a tensor.
type span struct {
	dst   *backend.Tensor
	float bool
	from  int
	cols  int
}

// Reset forgets what was staged.
func (s *Staging) Reset() {
	s.Ints, s.Floats, s.spans = s.Ints[:0], s.Floats[:0], s.spans[:0]
}

// Begin starts the integers that become dst; Put adds to them.
func (s *Staging) Begin(dst *backend.Tensor, cols int) {
	s.spans = append(s.spans, span{dst, false, len(s.Ints), cols})
}

// Put adds integers to the piece begun last.
func (s *Staging) Put(v ...int32) { s.Ints = append(s.Ints, v...) }

// BeginFloats starts the floats that become dst; they are appended to
// s.Floats.
func (s *Staging) BeginFloats(dst *backend.Tensor, cols int) {
	s.spans = append(s.spans, span{dst, true, len(s.Floats), cols})
}

// Sequences stages what the device needs of Seqs; dev is where the result
// will be kept.
func (s *Staging) Sequences(start, length []int32, dev *backend.Tensor) backend.Seqs {
	s.Begin(dev, 2)
	for i := range start {
		s.Put(start[i], length[i])
	}
	return backend.Seqs{Start: start, Len: length}
}

// Upload copies everything staged to the device and points the spans' tensors
// at it, with room for more floats behind.
func (s *Staging) Upload(be backend.Backend, more int) error {
	if err := grow(be, &s.intBuf, backend.I32, len(s.Ints)); err != nil {
		return err
	}
	if err := grow(be, &s.floatBuf, backend.F32, len(s.Floats)+more); err != nil {
		return err
	}
	be.UploadInts(backend.View(s.intBuf, 0, len(s.Ints), 1), s.Ints)
	be.Upload(backend.View(s.floatBuf, 0, len(s.Floats), 1), s.Floats)
	ints, floats := len(s.Ints), len(s.Floats)
	for i := len(s.spans) - 1; i >= 0; i-- {
		sp := &s.spans[i]
		buf, end := s.intBuf, &ints
		if sp.float {
			buf, end = s.floatBuf, &floats
		}
		*sp.dst = backend.View(buf, sp.from, (*end-sp.from)/sp.cols, sp.cols)
		*end = sp.from
	}
	return nil
}

// Room is the memory behind the uploaded floats.
func (s *Staging) Room(n int) backend.Tensor {
	return backend.View(s.floatBuf, len(s.Floats), 1, n)
}

// Free gives the device memory back.
func (s *Staging) Free(be backend.Backend) {
	for _, buf := range [...]backend.Buffer{s.intBuf, s.floatBuf} {
		if buf != nil {
			be.Free(buf)
		}
	}
	s.intBuf, s.floatBuf = nil, nil
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
