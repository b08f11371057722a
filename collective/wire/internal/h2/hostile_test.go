package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// script is a connection whose peer has said all at once, and then left.
type script struct {
	net.Conn               // nil: nothing else is called
	hello    *bytes.Reader // what it says at once
	in       *bytes.Reader // and behind gate
	gate     chan struct{}
	mu       sync.Mutex
	out      []byte
	closed   bool
}

func (s *script) Read(p []byte) (int, error) {
	if s.hello.Len() > 0 {
		return s.hello.Read(p)
	}
	<-s.gate
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	return s.in.Read(p)
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// hear lets an end hear all of a script and returns what it makes of it. Streams are
// answered and, but for number 3, read to their end. A calling end hears SETTINGS first, and the script when
// it has opened stream 1.
func hear(t testing.TB, client bool, said []byte) (answered []byte, end error) {
	t.Helper()
	conn := &script{hello: bytes.NewReader(nil), in: bytes.NewReader(said), gate: make(chan struct{})}
	var c *Conn
	var err error
	opt := Options{MaxFrame: 1 << 20, Window: 1 << 20, MaxMessage: 1 << 20, MaxStreams: 8}
	drain := func(s *Stream) {
		for way := 0; ; way++ {
			if _, err := read(s, way); err != nil {
				return
			}
		}
	}
	if client {
		conn.hello = bytes.NewReader(appendSettings(nil))
		if c, err = Client(context.Background(), conn, opt); err != nil {
			t.Fatal(err)
		}
		s, err := c.Open("/test.S/M", nil)
		if err != nil {
			t.Fatal(err)
		}
		close(conn.gate)
		_, _ = s.Header(context.Background()) // whatever it is
		drain(s)
	} else {
		close(conn.gate)
		c, err = Serve(context.Background(), conn, opt, func(s *Stream) {
			_ = s.SendHeader(nil) // fails if the caller has left
			if s.id != 3 {
				drain(s)
			}
		})
	}
	if err == nil {
		<-c.Done()
		err = c.Err()
		part(c)
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.out, err
}

// frames joins frames.
func frames(fs ...[]byte) []byte { return slices.Concat(fs...) }

func frame(kind, flags uint8, stream uint32, payload string) []byte {
	return append(header{len(payload), kind, flags, stream}.appendTo(nil), payload...)
}

// call is a HEADERS frame that begins a stream.
func call(stream uint32) []byte {
	b, err := newHeadWriter().block(nil, ":method", "POST", ":scheme", "http", ":path", "/test.S/M", "content-type", contentType)
	if err != nil {
		panic(err)
	}
	return headersFrame(stream, b, false)
}

func repeat(n int, b []byte) []byte { return bytes.Repeat(b, n) }

// What breaks the rules ends the connection with one line that says what, and the peer
// is told the code. None of it makes this end hold more than a few KiB.
func TestHostile(t *testing.T) {
	hello := appendSettings([]byte(preface))
	num := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	for name, tc := range map[string]struct {
		said  []byte
		words string
		code  uint32
	}{
		"no settings":              {frames([]byte(preface), frame(framePing, 0, 0, "12345678")), "does not begin with SETTINGS", codeProtocol},
		"long frame":               {frames(hello, header{1<<20 + 1, frameData, 0, 1}.appendTo(nil)), "at most 1048576 are taken", codeFrameSize},
		"long control frame":       {frames(hello, header{maxControl + 1, framePing, 0, 0}.appendTo(nil)), "of kind 6 of 8193 bytes", codeFrameSize},
		"short ping":               {frames(hello, frame(framePing, 0, 0, "1234")), "of kind 6 of 4 bytes", codeFrameSize},
		"ping of a stream":         {frames(hello, frame(framePing, 0, 1, "12345678")), "of kind 6 of stream 1", codeProtocol},
		"half a setting":           {frames(hello, frame(frameSettings, 0, 0, "1234567")), "SETTINGS of 7 bytes", codeFrameSize},
		"frame size of 5":          {frames(hello, appendSettings(nil, setting{settingMaxFrame, 5})), "setting 5 has the value 5", codeProtocol},
		"large first window":       {frames(hello, appendSettings(nil, setting{settingWindow, 1 << 31})), "first window", codeFlow},
		"long acknowledgement":     {frames(hello, frame(frameSettings, flagAck, 0, "123456")), "acknowledge", codeFrameSize},
		"data of no stream":        {frames(hello, frame(frameData, 0, 0, "x")), "DATA of stream 0", codeProtocol},
		"data of an idle stream":   {frames(hello, frame(frameData, 0, 7, "x")), "DATA of stream 7", codeProtocol},
		"data behind the end":      {frames(hello, call(1), frame(frameData, flagEndStream, 1, ""), frame(frameData, 0, 1, "x")), "behind its end", codeClosed},
		"data beyond the window":   {frames(hello, call(1), call(3), repeat(200, frame(frameData, 0, 3, "\x00\x00\x0f\xff\xff"+string(make([]byte, 16000))))), "more than were allowed", codeFlow},
		"padding":                  {frames(hello, call(1), frame(frameData, flagPadded, 1, "\x05abcd")), "padding of 5 bytes", codeProtocol},
		"padding of headers":       {frames(hello, frame(frameHeaders, flagPadded|flagEndHeaders, 1, "\x05abcd")), "padding of 5 bytes", codeProtocol},
		"headers of an even one":   {frames(hello, call(2)), "headers of stream 2", codeProtocol},
		"headers twice":            {frames(hello, call(1), call(1)), "a second time", codeProtocol},
		"headers cut":              {frames(hello, frame(frameHeaders, 0, 1, ""), frame(framePing, 0, 0, "12345678")), "within a header block", codeProtocol},
		"headers of nonsense":      {frames(hello, frame(frameHeaders, flagEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "headers: ", codeProtocol},
		"continuation of nothing":  {frames(hello, frame(frameContinuation, 0, 1, "")), "CONTINUATION", codeProtocol},
		"continuations for ever":   {frames(hello, frame(frameHeaders, 0, 1, ""), repeat(20, frame(frameContinuation, 0, 1, ""))), "8 frames", codeFlood},
		"many headers":             {frames(hello, frame(frameHeaders, flagEndHeaders, 1, strings.Repeat("\x82", 200))), "128 fields", codeFlood},
		"large headers":            {frames(hello, frame(frameHeaders, flagEndHeaders, 1, "\x40\x01a\x7f\xa1\x1e"+strings.Repeat("b", 4000)+strings.Repeat("\xbe", 90))), "8192 bytes", codeFlood},
		"capitals":                 {frames(hello, frame(frameHeaders, flagEndHeaders, 1, "\x00\x01A\x01b")), "lower case", codeProtocol},
		"unknown pseudo-header":    {frames(hello, frame(frameHeaders, flagEndHeaders, 1, "\x00\x02:a\x01b")), "stands where it may not", codeProtocol},
		"pseudo-header at the end": {frames(hello, frame(frameHeaders, flagEndHeaders, 1, "\x00\x01a\x01b\x83")), "stands where it may not", codeProtocol},
		"push":                     {frames(hello, call(1), frame(framePush, flagEndHeaders, 1, num(2))), "PUSH_PROMISE", codeProtocol},
		"reset of an idle stream":  {frames(hello, frame(frameReset, 0, 5, num(8))), "RST_STREAM of stream 5", codeProtocol},
		"credit of an idle stream": {frames(hello, frame(frameWindow, 0, 5, num(8))), "WINDOW_UPDATE of stream 5", codeProtocol},
		"no credit":                {frames(hello, frame(frameWindow, 0, 0, num(0))), "WINDOW_UPDATE of nothing", codeProtocol},
		"credit overflows":         {frames(hello, repeat(2, frame(frameWindow, 0, 0, num(1<<31-1)))), "overflows", codeFlow},
		"stream's overflows":       {frames(hello, call(1), repeat(2, frame(frameWindow, 0, 1, num(1<<31-1)))), "overflows", codeFlow},
		"window overflows":         {frames(hello, call(1), frame(frameWindow, 0, 1, num(1<<31-100_000)), appendSettings(nil, setting{settingWindow, 1<<31 - 1})), "overflows", codeFlow},
		"settings for ever":        {frames(hello, repeat(3*burst, frame(frameSettings, flagAck, 0, ""))), "carry nothing", codeFlood},
		"empty data for ever":      {frames(hello, call(1), repeat(3*burst, frame(frameData, 0, 1, ""))), "carry nothing", codeFlood},
		"unknown frames for ever":  {frames(hello, repeat(3*burst, frame(99, 0, 0, ""))), "carry nothing", codeFlood},
		"calls and resets":         {frames(hello, rapidReset(burst)), "carry nothing", codeFlood},
		"another protocol":         {[]byte("GET / HTTP/1.1\r\n\r\n"), "does not speak HTTP/2", codeNone},
		"half a preface":           {[]byte(preface)[:10], "closed the connection", codeNone},
		"half a frame":             {frames(hello, frame(framePing, 0, 0, "12345678"))[:40], "closed the connection", codeNone},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := hear(t, false, tc.said)
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, want %q in it", err, tc.words)
			}
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%q is not one line", err)
			}
			if got, told := lastCode(out); told != (tc.code != codeNone) || got != tc.code {
				t.Errorf("the peer is told code %d (%v), want %d", got, told, tc.code)
			}
		})
	}
}

// rapidReset opens streams and gives them up at once.
func rapidReset(n int) (b []byte) {
	for i := range n {
		id := uint32(2*i + 1)
		b = append(append(b, call(id)...), appendNumber(nil, frameReset, id, codeCancel)...)
	}
	return b
}

// lastCode is that of the GOAWAY at the end of what was sent.
func lastCode(out []byte) (code uint32, told bool) {
	for len(out) >= headerSize {
		h := parseHeader(out)
		if h.kind == frameGoAway {
			code, told = binary.BigEndian.Uint32(out[headerSize+4:]), true
		}
		out = out[headerSize+h.length:]
	}
	return code, told
}

// What a caller may be answered wrongly.
func TestHostileAnswers(t *testing.T) {
	block := func(md metadata.MD, fields ...string) []byte {
		b, err := newHeadWriter().block(md, fields...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hello := appendSettings(nil)
	for name, tc := range map[string]struct {
		said  []byte
		words string
	}{
		"data before headers": {frames(hello, frame(frameData, 0, 1, "x")), "before its headers"},
		"a stream of its own": {frames(hello, headersFrame(2, block(nil, ":status", "200"), false)), "headers of stream 2"},
		"headers twice":       {frames(hello, repeat(2, headersFrame(1, block(nil, ":status", "200", "content-type", contentType), false))), "a second time"},
		"goaway":              {frames(hello, appendGoAway(nil, 0, codeFlood, "too\nmuch\x00")), "too\\nmuch"},
	} {
		t.Run(name, func(t *testing.T) {
			// The stream has to be open when the answer comes.
			a, b := sockets(t)
			go func() { _, _ = io.Copy(io.Discard, b) }()
			if _, err := b.Write(hello); err != nil {
				t.Fatal(err)
			}
			c, err := Client(context.Background(), a, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.Open("/test.S/M", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(tc.said); err != nil {
				t.Fatal(err)
			}
			_, herr := s.Header(context.Background())
			if herr == nil {
				_, herr = s.Recv()
			}
			if herr == nil {
				t.Fatal("the stream goes on")
			}
			b.Close()
			<-c.Done()
			if err := c.Err(); !strings.Contains(err.Error(), tc.words) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%q, want %q in it, in one line", err, tc.words)
			}
			part(c)
		})
	}
	for name, tc := range map[string]struct {
		block []byte
		code  codes.Code
	}{
		"no gRPC":       {block(nil, ":status", "404", "content-type", "text/html"), codes.Internal},
		"no status":     {block(nil, ":status", "200", "content-type", contentType), codes.Internal},
		"broken status": {block(nil, ":status", "200", "content-type", contentType, "grpc-status", "x"), codes.Unknown},
		"a status":      {block(nil, ":status", "200", "content-type", contentType, "grpc-status", "9"), codes.FailedPrecondition},
	} {
		w := pair(t, Options{}, Options{})
		s, err := w.client.Open("/test.S/M", nil)
		if err != nil {
			t.Fatal(err)
		}
		<-w.accepted
		w.server.out.queue(headersFrame(1, tc.block, name != "no gRPC"))
		if _, err := s.Recv(); status.Code(err) != tc.code {
			t.Errorf("%s: %v, want %v", name, err, tc.code)
		}
	}
}

// A peer that asks for answers and reads none is given up; it does not fill the memory.
func TestAnswersNobodyReads(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		_, _ = b.Write(frames([]byte(preface), appendSettings(nil), repeat(burst, frame(framePing, 0, 0, "12345678"))))
	}()
	// Nothing of b is read, not even the first SETTINGS.
	c, err := Serve(context.Background(), a, Options{}, func(*Stream) {})
	if err == nil {
		<-c.Done()
		err = c.Err()
		part(c)
	}
	if !strings.Contains(err.Error(), "more answers than it takes") {
		t.Error(err)
	}
}

// The long run of frames that carry nothing.
func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket{burst, time.Now()}
		took := func() (n int) {
			for b.take() == nil {
				n++
			}
			return n
		}
		for i, want := range []int{burst, 0, 2 * perSecond, burst} {
			time.Sleep([]time.Duration{0, 0, 2 * time.Second, time.Hour}[i])
			if got := took(); got != want {
				t.Errorf("%d frames in round %d, want %d", got, i, want)
			}
		}
	})
}

// Bytes go through a queue as through a buffer, however they are cut.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var q queue
		var model bytes.Buffer
		held := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := rapid.SampledFrom([]int{1, 2, 5, 100, smallBlock, smallBlock + 1, largeBlock, 100_000}).Draw(rt, "n")
			switch rapid.SampledFrom([]string{"fill", "fill nothing", "take", "read while it is filled"}).Draw(rt, "step") {
			case "fill":
				room := q.open(n)
				copy(room, content(1, n, len(room)))
				model.Write(room)
				q.close(len(room))
			case "fill nothing":
				q.open(n)
				q.close(0)
			case "take":
				p := q.front(n)
				if want := model.Next(len(p)); !bytes.Equal(p, want) || len(p) == 0 && q.size > 0 {
					rt.Fatalf("%d bytes are other than those that were put in", len(p))
				}
				held += q.drop(len(p))
			case "read while it is filled":
				room := q.open(n)
				p := q.front(n)
				if want := model.Next(len(p)); !bytes.Equal(p, want) {
					rt.Fatalf("%d bytes are other than those that were put in", len(p))
				}
				q.drop(len(p))
				copy(room, content(2, n, len(room)))
				model.Write(room)
				q.close(len(room))
			}
			if q.size != model.Len() {
				rt.Fatalf("%d bytes wait, want %d", q.size, model.Len())
			}
			room := 0
			for _, b := range q.blocks {
				room += len(b.buf)
			}
			if room > 2*largeBlock+9*q.size {
				rt.Fatalf("%d bytes of memory hold %d", room, q.size)
			}
		}
	})
}
