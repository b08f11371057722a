package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"
)

// Whatever a caller, or a server, says: the connection ends, with a reason.
func FuzzConn(f *testing.F) {
	w := newHeadWriter()
	answer, err := w.block(metadata.Pairs("a", "b"), ":status", "200", "content-type", contentType)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, frames(appendSettings(nil, setting{settingMaxFrame, 1 << 20}), headersFrame(1, answer, false), frame(frameData, 0, 1, "\x00\x00\x00\x00\x03abc"), appendGoAway(nil, 1, 0, "bye")))
	f.Add(false, frames(call(1), frame(frameData, flagPadded, 1, "\x02\x00\x00\x00\x00\x03abcpp"), frame(frameData, flagEndStream, 1, ""), call(3), appendNumber(nil, frameReset, 3, 8)))
	f.Add(false, frames(frame(frameWindow, 0, 0, "\x00\x00\x10\x00"), frame(framePing, 0, 0, "12345678"), frame(200, 0, 0, "xyz"), frame(framePriority, 0, 1, "12345")))
	f.Fuzz(func(t *testing.T, client bool, said []byte) {
		if !client {
			said = frames([]byte(preface), appendSettings(nil), said)
		}
		if _, err := hear(t, client, said); err == nil {
			t.Error("the connection has no end")
		}
	})
}

// said is a connection whose peer has said everything.
type said struct {
	net.Conn // nil: nothing else is called
	bytes.Reader
}

func (s *said) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s *said) Write(p []byte) (int, error)      { return len(p), nil }
func (s *said) SetReadDeadline(time.Time) error  { return nil }
func (s *said) SetWriteDeadline(time.Time) error { return nil }
func (s *said) Close() error                     { return nil }

var quietOptions = Options{MaxFrame: 1 << 20, Window: 64 << 10, MaxMessage: 64 << 10, MaxStreams: 4}

// quiet is an end without goroutines, which costs next to nothing, for a peer that has said
// everything.
func quiet(b []byte, accept func(*Stream)) *Conn {
	s := &said{}
	s.Reset(b)
	return newConn(s, quietOptions, accept)
}

// bounded checks what a peer can make an end hold.
func bounded(t *testing.T, c *Conn) {
	t.Helper()
	if len(c.streams) > quietOptions.MaxStreams {
		t.Errorf("%d streams are open, at most %d were allowed", len(c.streams), quietOptions.MaxStreams)
	}
	for _, s := range c.streams {
		if s.queue.size > quietOptions.Window {
			t.Errorf("stream %d holds %d bytes, at most %d were allowed", s.id, s.queue.size, quietOptions.Window)
		}
	}
	c.out.mu.Lock()
	waiting := len(c.out.queued)
	c.out.mu.Unlock()
	if waiting > 2*maxQueued {
		t.Errorf("%d bytes of answers wait", waiting)
	}
	if c.in.heads.size > 2*maxControl || len(c.in.heads.fields) > maxFields {
		t.Errorf("a header block of %d bytes and %d fields is kept", c.in.heads.size, len(c.in.heads.fields))
	}
}

// FuzzRequests has a listening end read frames of a caller; nobody reads their streams.
func FuzzRequests(f *testing.F) {
	f.Add(frames(call(1), frame(frameData, flagPadded, 1, "\x02\x00\x00\x00\x00\x03abcpp"), frame(frameData, flagEndStream, 1, ""), call(3), appendNumber(nil, frameReset, 3, 8)))
	f.Add(frames(frame(frameWindow, 0, 0, "\x00\x00\x10\x00"), frame(framePing, 0, 0, "12345678"), frame(200, 0, 0, "xyz"), frame(framePriority, 0, 1, "12345")))
	f.Add(appendGoAway(frames(frame(frameHeaders, 0, 1, string(call(1)[headerSize:])), frame(frameContinuation, flagEndHeaders, 1, "")), 1, 0, "bye"))
	hello := appendSettings([]byte(preface))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := quiet(frames(hello, b), func(*Stream) {})
		if err := c.advance(nil); err == nil || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("the end is %q", err)
		}
		c.tasks.Wait()
		bounded(t, c)
	})
}

// FuzzAnswers has a calling end, which has opened a stream and reads it, hear frames of the
// listener.
func FuzzAnswers(f *testing.F) {
	w := newHeadWriter()
	answer, err := w.block(metadata.Pairs("a", "b"), ":status", "200", "content-type", contentType)
	if err != nil {
		f.Fatal(err)
	}
	answer = headersFrame(1, answer, false)
	end, err := w.block(nil, "grpc-status", "9", "grpc-message", "no%20more")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0), frames(answer, frame(frameData, 0, 1, "\x00\x00\x00\x00\x03abc"), headersFrame(1, end, true)))
	f.Add(byte(1), frames(answer, frame(frameData, 0, 1, "\x00\x00\x00\x00\x08ab"), frame(frameData, 0, 1, "cdefgh\x00\x00"), frame(frameData, flagEndStream, 1, "\x00\x00\x01x")))
	f.Add(byte(2), frames(answer, frame(frameData, 0, 1, "\x01\x00\x00\x00\x01x")))
	f.Add(byte(3), frames(answer, frame(frameData, 0, 1, "\x00\xff\xff\xff\xffx")))
	f.Add(byte(4), headersFrame(1, end, true))
	hello := appendSettings(nil, setting{settingMaxFrame, 1 << 20})
	f.Fuzz(func(t *testing.T, way byte, b []byte) {
		c := quiet(frames(hello, b), nil)
		c.tasks.Go(func() { _ = c.out.run() }) // the last words wait for it
		defer c.tasks.Wait()
		defer c.fail(errClosed)
		s, err := c.Open("/test.S/M", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Header(context.Background())
		for way := int(way); err == nil; way++ {
			var m []byte
			if m, err = read(s, way); len(m) > len(b) {
				t.Errorf("a message of %d bytes out of %d", len(m), len(b))
			}
		}
		if !errors.Is(err, io.EOF) && strings.ContainsAny(c.reason(err).Error(), "\x00") {
			t.Errorf("the end is %q", err)
		}
		bounded(t, c)
	})
}

// FuzzHeaderBlock decodes a header block that comes in two parts. What it holds is bounded,
// and, written again, is read as it was.
func FuzzHeaderBlock(f *testing.F) {
	f.Add(call(1)[headerSize:], byte(3))
	f.Add([]byte("\x00\x02:a\x01b\x83"), byte(1))
	f.Add([]byte("\x40\x01a\x7f\xa1\x1e"+strings.Repeat("b", 4000)+strings.Repeat("\xbe", 90)), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, cut byte) {
		r := newHeadReader()
		r.begin(header{len(b), frameHeaders, 0, 1})
		k := min(int(cut), len(b))
		err := r.add(b[:k], false)
		if err == nil {
			err = r.add(b[k:], true)
		}
		if len(r.fields) > maxFields {
			t.Errorf("%d fields", len(r.fields))
		}
		if err != nil {
			return
		}
		var again bytes.Buffer
		enc := hpack.NewEncoder(&again)
		for _, x := range r.fields {
			_ = enc.WriteField(x) // into memory
		}
		fields := r.fields
		r = newHeadReader()
		r.begin(header{again.Len(), frameHeaders, 0, 1})
		if err := r.add(again.Bytes(), true); err != nil || !slices.Equal(r.fields, fields) {
			t.Errorf("%v is read as %v, %v", fields, r.fields, err)
		}
		if h, err := parseHead(fields); err == nil {
			_ = isGRPC(h.contentType)
			if end := h.end(); end != nil && h.grpcStatus == "0" {
				t.Errorf("status 0 is %v", end)
			}
		}
	})
}

// FuzzFrames: what is written of frames that have a form is read as it was.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x05\x01\x04\x00\x00\x00\x01hello"))
	f.Add(appendSettings(nil, setting{settingWindow, 5}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		h := parseHeader(b)
		if again := parseHeader(h.appendTo(nil)); again != h {
			t.Errorf("%+v is read as %+v", h, again)
		}
		p := b[headerSize:]
		h.length = len(p)
		if q, err := unpad(h, p); err == nil && len(q) > len(p) {
			t.Errorf("%d bytes without padding, %d with", len(q), len(p))
		}
		if s, err := parseSettings(p); err == nil {
			if again, err := parseSettings(appendSettings(nil, s...)[headerSize:]); err != nil || !slices.Equal(s, again) {
				t.Errorf("%v is read as %v, %v", s, again, err)
			}
		}
	})
}

// FuzzWords: the words of a status come through headers as they are.
func FuzzWords(f *testing.F) {
	f.Add("text")
	f.Add("100 % \n\x80%4")
	f.Fuzz(func(t *testing.T, text string) {
		text = text[:min(len(text), maxWords)]
		said := escape(text)
		if got := unescape(said); got != text {
			t.Errorf("%q is read as %q", text, got)
		}
		if strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is no header", said)
		}
		if len(unescape(text)) > len(text) {
			t.Errorf("%q is read as more", text)
		}
	})
}
