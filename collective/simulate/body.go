package simulate

import (
	"io"

	"vgid/collective/frame"
)

// mostPiece is the longest piece of a payload: a length that no element size
// divides, so that elements straddle pieces.
const mostPiece = 1021

// unpack makes the frame that a receiver is given.
func (e *end) unpack(f *flow, p *parcel) *frame.Frame {
	out := &frame.Frame{Header: p.header}
	if p.have < len(p.data) {
		out.Body = &body{e: e, f: f, p: p}
		return out
	}
	for rest := p.data; len(rest) > 0; {
		n := min(len(rest), mostPiece)
		out.Pieces, rest = append(out.Pieces, rest[:n:n]), rest[n:]
	}
	return out
}

// body is a payload that comes in while it is read.
type body struct {
	e    *end
	f    *flow
	p    *parcel
	read int
}

// Len implements frame.Body.
func (b *body) Len() int { return len(b.p.data) - b.read }

// Next implements frame.Body.
func (b *body) Next(most int) ([]byte, error) {
	if b.Len() == 0 {
		return nil, io.EOF
	}
	have, err := b.await()
	if err != nil {
		return nil, err
	}
	n := min(most, mostPiece, have-b.read)
	b.read += n
	return b.p.data[b.read-n : b.read], nil
}

// Into implements frame.Body.
func (b *body) Into(dst []byte) error {
	if len(dst) > b.Len() {
		return io.ErrUnexpectedEOF
	}
	for len(dst) > 0 {
		piece, err := b.Next(len(dst))
		if err != nil {
			return err
		}
		dst = dst[copy(dst, piece):]
	}
	return nil
}

// await waits for more than was read, and gives how much there is.
func (b *body) await() (int, error) {
	w := b.e.w
	w.mu.Lock()
	have := b.p.have
	w.mu.Unlock()
	if have > b.read {
		return have, nil
	}
	a := b.e.lane(b.f.lane).do(&request{verb: toRead, peer: b.f.from, parcel: b.p, nth: b.read})
	if a.err != nil {
		return 0, a.err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return b.p.have, nil
}

// read answers who waits for more of a payload.
func (w *network) read(e *end, p *parcel) {
	r := p.reading
	switch {
	case r == nil:
	case e.state != working:
		w.refuse(e, r, errBroken)
	case p.have > r.nth:
		p.reading = nil
		e.finish(r, answer{})
	case e.cut[r.peer]:
		w.refuse(e, r, errLost)
	}
}
