package wire

import (
	"encoding/binary"
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"

	"vgid/collective/frame"
)

// codec moves frames through gRPC as they are: a header and the caller's
// memory on the way out, gRPC's receive buffers on the way in.
type codec struct{}

func (codec) Name() string { return "vgid-raw" }

// inlineBytes is the longest payload that is copied next to its header. It
// must be above gRPC's 1 KiB limit for buffers that it does not give back,
// below which the end of sending is never told.
const inlineBytes = 8 << 10

// outFrame is a frame on its way out.
type outFrame struct {
	header  *frame.Header
	payload []byte
	sent    *frame.Inflight
	taken   bool // gRPC owns the payload and will release it
}

// inFrame is where a received message goes.
type inFrame struct{ frame frame.Frame }

// note is a short message of the control stream, in either direction.
type note struct {
	kind byte
	b    []byte
}

// Kinds of notes, the first byte of each.
const (
	noteMessage = iota // of the communicator
	noteLane           // a lane to open, 4 bytes
)

func askForLane(id uint32) note {
	return note{noteLane, binary.LittleEndian.AppendUint32(nil, id)}
}

// parseNote reads what sendNote has written: the kind and what follows.
func parseNote(b []byte) (note, error) {
	if len(b) == 0 || b[0] > noteLane || b[0] == noteLane && len(b) != 5 {
		return note{}, fmt.Errorf("control message of %d bytes is none that this program knows", len(b))
	}
	return note{b[0], b[1:]}, nil
}

func longNote(n int) error {
	return fmt.Errorf("control message of %d bytes, at most %d are allowed", n, maxNote)
}

// decode reads the header of a frame that carries length bytes behind it.
func decode(head []byte, length int) (frame.Header, error) {
	h, err := frame.DecodeHeader(head)
	if err == nil && length != int(h.Length) {
		err = fmt.Errorf("wire: frame carries %d bytes, its header says %d", length, h.Length)
	}
	if err != nil {
		err = &frame.BadFrameError{Err: err}
	}
	return h, err
}

// lane is the number of a noteLane.
func (n *note) lane() uint32 { return binary.LittleEndian.Uint32(n.b) }

// Marshal copies short payloads beside their header, so that they leave as one
// piece; long ones go out from where they are, and release tells when they are
// free.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *note:
		return mem.BufferSlice{mem.SliceBuffer(append([]byte{m.kind}, m.b...))}, nil
	case *outFrame:
		if len(m.payload) <= inlineBytes {
			b := smallPool.Get(0)
			*b = append(m.header.AppendTo(*b), m.payload...)
			m.taken = true
			m.sent.Done() // the copy goes out, the payload is free already
			return mem.BufferSlice{mem.NewBuffer(b, smallPool)}, nil
		}
		head := mem.SliceBuffer(m.header.AppendTo(make([]byte, 0, frame.HeaderSize)))
		m.taken = true
		return mem.BufferSlice{head, mem.NewBuffer(&m.payload, release{m.sent})}, nil
	}
	return nil, fmt.Errorf("wire: cannot send a %T", v)
}

// Unmarshal leaves what was received where gRPC has put it.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *note:
		if data.Len() > maxNote {
			return longNote(data.Len())
		}
		n, err := parseNote(data.Materialize())
		*m = n
		return err
	case *inFrame:
		return m.read(data)
	}
	return fmt.Errorf("wire: cannot receive into a %T", v)
}

// read takes the message over: the pieces point into gRPC's buffers, which
// stay alive until the frame is released.
func (m *inFrame) read(data mem.BufferSlice) error {
	var head [frame.HeaderSize]byte
	have := 0
	pieces := make([][]byte, 0, len(data))
	length := 0
	for _, b := range data {
		p := b.ReadOnlyData()
		if have < len(head) {
			k := copy(head[have:], p)
			have, p = have+k, p[k:]
		}
		if len(p) > 0 {
			pieces = append(pieces, p)
			length += len(p)
		}
	}
	h, err := decode(head[:have], length)
	if err != nil {
		return err
	}
	// gRPC frees the message when this function returns; the frame holds it.
	data.Ref()
	m.frame = frame.Frame{Header: h, Pieces: pieces, Free: data.Free}
	return nil
}

// release tells the sender that its memory is its own again. gRPC calls Put
// when the last reference is gone; only then has the data left, SendMsg
// returns long before.
type release struct{ sent *frame.Inflight }

func (release) Get(int) *[]byte { panic("wire: release holds no buffers") }
func (r release) Put(*[]byte)   { r.sent.Done() }

// bufferPool keeps buffers of one capacity; longer ones are not kept. It does
// not clear what it hands out: the reader overwrites all of it.
type bufferPool struct {
	size int
	pool sync.Pool
}

var (
	smallPool   = &bufferPool{size: frame.HeaderSize + inlineBytes}
	receivePool = &bufferPool{size: 16 << 10} // the DATA frame of grpc-go
)

// Get gives a buffer of n bytes, whatever is in it.
func (p *bufferPool) Get(n int) *[]byte {
	if n <= p.size {
		if b, ok := p.pool.Get().(*[]byte); ok {
			*b = (*b)[:n]
			return b
		}
		b := make([]byte, n, p.size)
		return &b
	}
	b := make([]byte, n)
	return &b
}

// Put takes a buffer back. Of another capacity it was made for one long message,
// which does not come again soon.
func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) == p.size {
		p.pool.Put(b)
	}
}
