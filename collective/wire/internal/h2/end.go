package h2

import (
	"fmt"

	"google.golang.org/grpc/status"
)

// maxWords is the longest reason of a refusal in bytes, of which each may be escaped.
const maxWords = 2000

// CloseSend says that this end sends no more. What it sent arrives before that.
func (s *Stream) CloseSend() { s.Refuse(nil) }

// Refuse ends this half of a stream with a status, which a listening end can tell the
// caller; nil is OK.
func (s *Stream) Refuse(err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.muted || s.dead.Load() || c.err != nil {
		return
	}
	if c.client {
		c.out.queue(header{kind: frameData, flags: flagEndStream, stream: s.id}.appendTo(nil))
	} else {
		st := status.Convert(err)
		fields := []string{"grpc-status", fmt.Sprint(uint32(st.Code()))}
		if m := st.Message(); m != "" {
			fields = append(fields, "grpc-message", escape(m[:min(len(m), maxWords)]))
		}
		if !s.answered {
			fields = append([]string{":status", "200", "content-type", contentType}, fields...)
		}
		_ = s.sendHead(nil, true, fields...) // they are short
	}
	s.mute()
}

// Close says that this end uses the stream no more: what it sent arrives, what comes is
// dropped.
func (s *Stream) Close() {
	s.CloseSend()
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed || s.dead.Load() || c.err != nil {
		return
	}
	s.closed = true
	s.used(s.queue.size)
	s.queue.clear()
	s.rouse()
}

// Reset gives the stream up at once: Send and Recv return, and the peer is told.
func (s *Stream) Reset() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.dead.Swap(true) {
		return
	}
	if s.end == nil || !s.muted {
		c.out.queue(appendNumber(nil, frameReset, s.id, codeCancel))
	}
	delete(c.streams, s.id)
	s.lose()
	s.queue.clear()
	s.rouse()
	c.room.Broadcast()
	c.out.poke()
}
