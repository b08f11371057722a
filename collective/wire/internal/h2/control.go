package h2

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fixedSizes are the payloads' of the frames that have one size.
var fixedSizes = map[uint8]int{framePriority: 5, frameReset: 4, framePing: 8, frameWindow: 4}

// control does what a short frame says. The payload is valid until it returns.
func (c *Conn) control(h header, p []byte) (*Stream, error) {
	in := &c.in
	number := func() uint32 { return binary.BigEndian.Uint32(p) & maxWindow }
	if n, ok := fixedSizes[h.kind]; ok && len(p) != n || h.kind == frameGoAway && len(p) < 8 {
		return nil, violation(codeFrameSize, "a frame of kind %d of %d bytes", h.kind, len(p))
	}
	if ofConn := h.kind == frameSettings || h.kind == framePing || h.kind == frameGoAway; h.kind != frameWindow && ofConn != (h.stream == 0) {
		return nil, violation(codeProtocol, "a frame of kind %d of stream %d", h.kind, h.stream)
	}
	if h.kind != frameWindow || number() < minRaise {
		if err := in.rate.take(); err != nil {
			return nil, err
		}
	}
	switch h.kind {
	case frameHeaders:
		block, err := unpad(h, p)
		if err != nil {
			return nil, err
		}
		in.heads.begin(h)
		return c.headers(block, h.has(flagEndHeaders))
	case frameContinuation:
		if !in.heads.open {
			return nil, violation(codeProtocol, "CONTINUATION of no headers")
		}
		return c.headers(p, h.has(flagEndHeaders))
	case frameReset:
		return c.peerReset(h.stream, number())
	case frameSettings:
		return nil, c.settings(h, p)
	case framePing:
		if h.has(flagAck) {
			return nil, nil
		}
		return nil, c.out.answer(appendPong(nil, p))
	case frameGoAway:
		c.goAway(number(), p[8:])
	case frameWindow:
		return nil, c.raise(h.stream, int(number()))
	case framePush:
		return nil, violation(codeProtocol, "PUSH_PROMISE")
	}
	return nil, nil
}

// settings takes what the peer says of itself.
func (c *Conn) settings(h header, p []byte) error {
	if h.has(flagAck) {
		if len(p) > 0 {
			return violation(codeFrameSize, "SETTINGS that acknowledge with %d bytes", len(p))
		}
		return nil
	}
	list, err := parseSettings(p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range list {
		switch x.id {
		case settingTableSize:
			c.heads.enc.SetMaxDynamicTableSizeLimit(x.value)
		case settingStreams:
			c.peer.streams = x.value
		case settingMaxFrame:
			c.peer.frame = int(x.value)
		case settingWindow:
			change := int(x.value) - c.peer.window
			c.peer.window = int(x.value)
			for _, s := range c.streams {
				if s.credit += change; s.credit > maxWindow {
					return violation(codeFlow, "the window of stream %d overflows", s.id)
				}
			}
			c.room.Broadcast()
		}
	}
	if !c.in.started {
		c.in.started = true
		close(c.settled)
	}
	return c.out.answer(header{kind: frameSettings, flags: flagAck}.appendTo(nil))
}

// raise gives senders credit.
func (c *Conn) raise(stream uint32, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	window := &c.credit
	if stream != 0 {
		s := c.streams[stream]
		if s == nil {
			if !c.stray(stream) {
				return violation(codeProtocol, "WINDOW_UPDATE of stream %d, which is not open", stream)
			}
			return nil
		}
		window = &s.credit
	}
	if n == 0 {
		return violation(codeProtocol, "WINDOW_UPDATE of nothing")
	}
	if *window += n; *window > maxWindow {
		return violation(codeFlow, "the window of stream %d overflows", stream)
	}
	c.room.Broadcast()
	return nil
}

// peerReset ends a stream that the peer has given up.
func (c *Conn) peerReset(stream, code uint32) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[stream]
	if s == nil {
		if !c.stray(stream) {
			return nil, violation(codeProtocol, "RST_STREAM of stream %d, which is not open", stream)
		}
		return nil, nil
	}
	err := status.Errorf(codes.Unavailable, "the peer has given the stream up (code %d)", code)
	switch code {
	case codeNone: // of a server that has said all
		err = s.bareEnd()
	case codeCancel:
		err = status.Error(codes.Canceled, "the peer has given the stream up")
	case codeRefused:
		err = status.Error(codes.Unavailable, "the peer refuses the stream")
	}
	s.ended(err)
	s.mute()
	s.lose()
	return s, nil
}

// goAway ends the streams that the peer has not seen, and keeps what it says.
func (c *Conn) goAway(last uint32, words []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if len(words) > 0 {
		c.farewell = fmt.Sprintf("%q", words[:min(len(words), 200)])
	}
	for id, s := range c.streams {
		if id%2 == 1 == c.client && id > last {
			s.ended(status.Error(codes.Unavailable, "the peer is leaving"))
			s.mute()
			s.lose()
			if c.roles.leader == s {
				c.poke()
			}
		}
	}
}

// headers takes a part of a header block and does what the whole block says.
func (c *Conn) headers(p []byte, last bool) (*Stream, error) {
	r := c.in.heads
	if err := r.add(p, last); err != nil || !last {
		return nil, err
	}
	r.open = false
	h, err := parseHead(r.fields)
	if err != nil {
		return nil, violation(codeProtocol, "%v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[r.stream]; s != nil {
		return s, s.heard(h, r.end)
	}
	switch {
	case c.stray(r.stream):
		return nil, nil
	case c.client || r.stream%2 == 0:
		return nil, violation(codeProtocol, "headers of stream %d, which is not open", r.stream)
	}
	c.lastID = r.stream
	return nil, c.welcome(r.stream, h, r.end)
}
