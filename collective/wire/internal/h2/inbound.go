package h2

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scratchSize is how much of a message is read and used at a time: it stays in the
// cache between the two.
const scratchSize = 64 << 10

// inbound is where the leader stands in what the peer sends; the next leader goes on
// from there.
type inbound struct {
	greeted bool // the preface is read
	started bool // the first SETTINGS are
	// Of a DATA frame: what is left of its payload and of the padding behind it.
	cur       *Stream // nil: nobody wants it
	left, pad int
	end       bool // the stream ends with it
	heads     *headReader
	rate      bucket
}

func (in *inbound) init(client bool) {
	in.greeted = client // servers have none
	in.heads = newHeadReader()
	in.rate = bucket{burst, time.Now()}
}

// advance reads frames for the leader until one concerns own: the socket is then within
// its DATA frame, or its headers or its end have come. With nil it goes on until it is
// interrupted.
func (c *Conn) advance(own *Stream) error {
	in := &c.in
	c.src.patient = own == nil
	if !in.greeted {
		if err := c.greet(); err != nil {
			return err
		}
	}
	for {
		if in.left > 0 {
			if in.cur != nil && in.cur == own {
				return nil
			}
			if err := c.store(); err != nil {
				return err
			}
			continue
		}
		b, err := c.src.peek(headerSize)
		if err != nil {
			return err
		}
		h := parseHeader(b)
		touched, err := c.frame(h)
		if err != nil || touched != nil && touched == own {
			return err
		}
	}
}

// greet reads what a caller begins with.
func (c *Conn) greet() error {
	for n := range len(preface) { // a stranger is refused by its first byte that differs
		b, err := c.src.peek(n + 1)
		if err != nil {
			return err
		}
		if b[n] != preface[n] {
			return status.Error(codes.Unavailable, "the caller does not speak HTTP/2")
		}
	}
	c.src.take(len(preface))
	c.in.greeted = true
	return nil
}

// store puts what comes of a DATA frame into its stream's queue.
func (c *Conn) store() error {
	in, s := &c.in, c.in.cur
	room, wanted := c.scratch, false
	if s != nil {
		c.mu.Lock()
		if wanted = !s.deafened(); wanted {
			room = s.queue.open(in.left)
		}
		c.mu.Unlock()
	}
	n, err := c.src.read(room[:min(in.left, len(room))])
	if s != nil {
		c.mu.Lock()
		if wanted {
			s.queue.close(n)
			s.wakeUp()
		} else {
			s.used(n)
		}
		c.mu.Unlock()
	}
	c.arrived(n)
	return err
}

// arrived counts n bytes of the DATA frame as read, and ends it behind its last.
func (c *Conn) arrived(n int) {
	in := &c.in
	if in.left -= n; in.left > 0 {
		return
	}
	if in.end {
		c.mu.Lock()
		if in.cur != nil {
			in.cur.ended(in.cur.bareEnd())
		}
		c.mu.Unlock()
	}
	in.cur, in.left, in.pad, in.end = nil, in.pad, 0, false // nobody wants the padding
}

// frame reads a frame, of DATA only the beginning, and tells which stream it concerned.
func (c *Conn) frame(h header) (*Stream, error) {
	in := &c.in
	if !in.started && (h.kind != frameSettings || h.has(flagAck)) {
		return nil, violation(codeProtocol, "it does not begin with SETTINGS")
	}
	if in.heads.open && (h.kind != frameContinuation || h.stream != in.heads.stream) {
		return nil, violation(codeProtocol, "a frame within a header block")
	}
	if h.length > c.opt.MaxFrame {
		return nil, violation(codeFrameSize, "a frame of %d bytes, at most %d are taken", h.length, c.opt.MaxFrame)
	}
	if h.kind == frameData {
		return c.dataFrame(h)
	}
	if h.kind > frameContinuation { // to be ignored
		c.src.take(headerSize)
		in.cur, in.left = nil, h.length
		return nil, in.rate.take()
	}
	if h.length > maxControl {
		return nil, violation(codeFrameSize, "a frame of kind %d of %d bytes", h.kind, h.length)
	}
	b, err := c.src.peek(headerSize + h.length)
	if err != nil {
		return nil, err
	}
	s, err := c.control(h, b[headerSize:])
	c.src.take(headerSize + h.length)
	return s, err
}

// dataFrame reads the beginning of a DATA frame.
func (c *Conn) dataFrame(h header) (*Stream, error) {
	in, skip, pad := &c.in, headerSize, 0
	if h.has(flagPadded) {
		b, err := c.src.peek(headerSize + 1)
		if err != nil {
			return nil, err
		}
		skip, pad = headerSize+1, int(b[headerSize])
		if pad+1 > h.length {
			return nil, violation(codeProtocol, "padding of %d bytes in a frame of %d", pad, h.length)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[h.stream]
	switch {
	case s == nil && !c.stray(h.stream):
		return nil, violation(codeProtocol, "DATA of stream %d, which is not open", h.stream)
	case s != nil && (s.end != nil || !s.started):
		return nil, violation(codeClosed, "DATA of stream %d before its headers or behind its end", h.stream)
	}
	if c.allowed -= h.length; c.allowed < 0 || s != nil && s.allowed < h.length {
		return nil, violation(codeFlow, "%d bytes of stream %d more than were allowed", h.length, h.stream)
	}
	if c.taken += h.length; c.taken >= connWindow/4 {
		c.allowed += c.taken
		c.out.queue(appendNumber(nil, frameWindow, 0, uint32(c.taken)))
		c.taken = 0
	}
	c.src.take(skip)
	if s != nil {
		s.allowed -= h.length
		s.used(skip - headerSize + pad)
	}
	in.cur, in.left, in.pad, in.end = s, h.length-(skip-headerSize)-pad, pad, h.has(flagEndStream)
	if in.left > 0 {
		return nil, nil // whoever wants it looks at in
	}
	if in.end && s != nil {
		s.ended(s.bareEnd())
	}
	in.cur, in.left, in.pad, in.end = nil, pad, 0, false
	return s, in.rate.take()
}
