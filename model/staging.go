package model

import (
	"fmt"

	"vgid/model/backend"
)

// staging is host memory in which a batch lays out its indices and tables, and
// the device memory they go to: one copy for the integers, one for the floats.
type staging struct {
	ints   []int32
	floats []float32
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

func (s *staging) reset() {
	s.ints, s.floats, s.spans = s.ints[:0], s.floats[:0], s.spans[:0]
}

// begin starts the integers that become dst; put adds to them.
func (s *staging) begin(dst *backend.Tensor, cols int) {
	s.spans = append(s.spans, span{dst, false, len(s.ints), cols})
}

func (s *staging) put(v ...int32) { s.ints = append(s.ints, v...) }

// beginFloats starts the floats that become dst; they are appended to
// s.floats.
func (s *staging) beginFloats(dst *backend.Tensor, cols int) {
	s.spans = append(s.spans, span{dst, true, len(s.floats), cols})
}

// sequences stages what the device needs of Seqs; dev is where the result
// will be kept.
func (s *staging) sequences(start, length []int32, dev *backend.Tensor) backend.Seqs {
	s.begin(dev, 2)
	for i := range start {
		s.put(start[i], length[i])
	}
	return backend.Seqs{Start: start, Len: length}
}

// upload copies everything staged to the device and points the spans' tensors
// at it, with room for more floats behind.
func (s *staging) upload(be backend.Backend, more int) error {
	if err := grow(be, &s.intBuf, backend.I32, len(s.ints)); err != nil {
		return err
	}
	if err := grow(be, &s.floatBuf, backend.F32, len(s.floats)+more); err != nil {
		return err
	}
	be.UploadInts(backend.View(s.intBuf, 0, len(s.ints), 1), s.ints)
	be.Upload(backend.View(s.floatBuf, 0, len(s.floats), 1), s.floats)
	ints, floats := len(s.ints), len(s.floats)
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

// room is the memory behind the uploaded floats.
func (s *staging) room(n int) backend.Tensor {
	return backend.View(s.floatBuf, len(s.floats), 1, n)
}

func (s *staging) free(be backend.Backend) {
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
