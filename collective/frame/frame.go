package frame

import (
	"io"

	"vgid/collective/spans"
)

// Frame is one received frame. Its payload is read once, from the front, by Next and
// Into; its receiver does so without waiting for anything else, since the transport may
// have other frames behind it.
type Frame struct {
	Header Header
	// Pieces hold the payload in order; an element may straddle two of them.
	Pieces [][]byte
	// Body, if not nil, is the payload in place of Pieces, read while it comes in.
	Body Body
	// Free gives the memory of the payload back; nil if there is nothing to do.
	Free func()
}

// Body is a payload that may not be there yet.
type Body interface {
	// Len is the number of bytes that have not been read.
	Len() int
	// Next gives the next piece, of at most so many bytes. It is valid until the next
	// call. Behind the last there is io.EOF.
	Next(most int) ([]byte, error)
	// Into reads the next len(dst) bytes.
	Into(dst []byte) error
}

// Len is the number of bytes of the payload that have not been read.
func (f *Frame) Len() int {
	if f.Body != nil {
		return f.Body.Len()
	}
	return spans.Total(f.Pieces)
}

// Next gives the next piece of the payload, of at most so many bytes, valid until the
// next call; io.EOF behind the last.
func (f *Frame) Next(most int) ([]byte, error) {
	if f.Body != nil {
		return f.Body.Next(most)
	}
	for len(f.Pieces) > 0 {
		p := f.Pieces[0]
		if len(p) > most {
			f.Pieces[0] = p[most:]
			return p[:most], nil
		}
		f.Pieces = f.Pieces[1:]
		if len(p) > 0 {
			return p, nil
		}
	}
	return nil, io.EOF
}

// Into reads the next len(dst) bytes of the payload, straight to where they go if they
// are still to come.
func (f *Frame) Into(dst []byte) error {
	if f.Body != nil {
		return f.Body.Into(dst)
	}
	for len(dst) > 0 {
		p, err := f.Next(len(dst))
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		dst = dst[copy(dst, p):]
	}
	return nil
}

// Release gives the frame's memory back. The pieces are invalid afterwards.
func (f *Frame) Release() {
	if f.Free != nil {
		f.Free()
		f.Free = nil
	}
}
