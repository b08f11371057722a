package h2

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockets gives the two ends of a loopback connection.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// secured puts TLS between the ends of a connection.
func secured(t testing.TB) (a, b net.Conn) {
	t.Helper()
	a, b = sockets(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
}

// world is a pair of ends; what the caller opens comes out of accepted.
type world struct {
	client, server *Conn
	accepted       chan *Stream
}

func pair(t testing.TB, co, so Options) *world { return pairOver(t, sockets, co, so) }

func pairOver(t testing.TB, ends func(testing.TB) (a, b net.Conn), co, so Options) *world {
	t.Helper()
	a, b := ends(t)
	w := &world{accepted: make(chan *Stream, 100)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var serr, cerr error
	var wg sync.WaitGroup
	wg.Go(func() {
		w.server, serr = Serve(ctx, b, so, func(s *Stream) { w.accepted <- s })
	})
	wg.Go(func() { w.client, cerr = Client(ctx, a, co) })
	wg.Wait()
	if err := errors.Join(serr, cerr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { part(w.client, w.server) })
	return w
}

// open gives the two ends of a new stream.
func (w *world) open(t testing.TB) (c, s *Stream) {
	t.Helper()
	c, err := w.client.Open("/test.S/M", metadata.Pairs("key", "value"))
	if err != nil {
		t.Fatal(err)
	}
	s = <-w.accepted
	if s.Method() != "/test.S/M" {
		t.Fatalf("method %q", s.Method())
	}
	if err := s.SendHeader(metadata.Pairs("answer", "yes")); err != nil {
		t.Fatal(err)
	}
	if md, err := c.Header(context.Background()); err != nil || !slices.Equal(md.Get("answer"), []string{"yes"}) {
		t.Fatalf("header %v: %v", md, err)
	}
	if md, err := s.Header(context.Background()); err != nil || !slices.Equal(md.Get("key"), []string{"value"}) {
		t.Fatalf("header of the caller %v: %v", md, err)
	}
	return c, s
}

// part closes ends of connections, at the same time.
func part(all ...*Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { c.Close(ctx) })
	}
	wg.Wait()
}

func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// content is the k-th message of a stream.
func content(stream, k, n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{byte(stream), byte(k), byte(k >> 8)}).Read(b) // never fails
	return b
}

// read takes a message by one of the ways that there are.
func read(s *Stream, way int) ([]byte, error) {
	m, err := s.Recv()
	if err != nil {
		return nil, err
	}
	defer m.Release()
	b := make([]byte, m.Len())
	at := 0
	for at < len(b) {
		if way%2 == 0 {
			k := min(len(b)-at, 1+way*1000)
			if err := m.Into(b[at : at+k]); err != nil {
				return nil, err
			}
			at += k
		} else {
			p, err := m.Next(1 << 30)
			if err != nil {
				return nil, err
			}
			at += copy(b[at:], p)
		}
		way++
	}
	if p, err := m.Next(1 << 30); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%d bytes behind the end: %w", len(p), err)
	}
	return b, nil
}

// exchange sends messages over a stream and reads them at its other end.
func exchange(from, to *Stream, stream, count int, size func(k int) int) (say, hear func() error) {
	say = func() error {
		for k := range count {
			b := content(stream, k, size(k))
			cut := min(len(b), k%70)
			if err := from.Send(b[:cut], b[cut:]); err != nil {
				return fmt.Errorf("stream %d: send %d: %w", stream, k, err)
			}
			clear(b) // it is the caller's again
		}
		return nil
	}
	hear = func() error {
		for k := range count {
			b, err := read(to, k)
			if err != nil {
				return fmt.Errorf("stream %d: message %d: %w", stream, k, err)
			}
			if !bytes.Equal(b, content(stream, k, size(k))) {
				return fmt.Errorf("stream %d: message %d of %d bytes is another, want %d bytes", stream, k, len(b), size(k))
			}
		}
		return nil
	}
	return say, hear
}

// Messages of all lengths, on several streams and in both directions at once, over
// sockets and TLS, with long and short frames and small windows.
func TestMessages(t *testing.T) {
	for name, tc := range map[string]struct {
		ends   func(testing.TB) (a, b net.Conn)
		co, so Options
	}{
		"sockets":       {sockets, Options{}, Options{}},
		"spin":          {sockets, Options{Spin: 20 * time.Microsecond}, Options{Spin: 20 * time.Microsecond}},
		"short frames":  {sockets, Options{MaxFrame: 16384}, Options{MaxFrame: 20_000}},
		"small windows": {sockets, Options{Window: 5000}, Options{Window: 70_000}},
		"tls":           {secured, Options{}, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := pairOver(t, tc.ends, tc.co, tc.so)
			var fs []func() error
			for i := range 4 {
				a, b := w.open(t)
				size := func(k int) int { return [...]int{0, 1, 4, 5, 100, 4096, 16379, 16384, 70_000, 1 << 20}[(k*7+i)%10] }
				for d, ends := range [][2]*Stream{{a, b}, {b, a}} {
					say, hear := exchange(ends[0], ends[1], 2*i+d, 40, size)
					fs = append(fs, say, hear)
				}
			}
			if err := together(fs...); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A stream that nobody reads is full at its window and holds up no other.
func TestUnreadStream(t *testing.T) {
	w := pair(t, Options{}, Options{Window: 1 << 20})
	full, _ := w.open(t)
	stuck := make(chan error)
	go func() {
		b := make([]byte, 100_000)
		for {
			if err := full.Send(nil, b); err != nil {
				stuck <- err
				return
			}
		}
	}()
	a, b := w.open(t)
	say, hear := exchange(a, b, 1, 30, func(int) int { return 500_000 })
	say2, hear2 := exchange(b, a, 2, 30, func(int) int { return 500_000 })
	if err := together(say, hear, say2, hear2); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-stuck:
		t.Fatal("the full stream ended:", err)
	default:
	}
	full.Reset()
	if err := <-stuck; status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
}

// Reset ends what waits at both ends, in the middle of messages and frames too, and
// leaves the connection to the others.
func TestReset(t *testing.T) {
	w := pair(t, Options{}, Options{})
	for round := range 20 {
		a, b := w.open(t)
		if round%2 == 1 {
			a, b = b, a
		}
		said, heard := make(chan error, 1), make(chan error, 1)
		go func() {
			for {
				if err := a.Send(nil, make([]byte, 3<<20)); err != nil {
					said <- err
					return
				}
			}
		}()
		go func() {
			for {
				if _, err := read(b, 1); err != nil {
					heard <- err
					return
				}
			}
		}()
		time.Sleep(time.Duration(round) * 300 * time.Microsecond)
		if round%4 < 2 {
			a.Reset()
		} else {
			b.Reset()
		}
		for _, ch := range []chan error{said, heard} {
			if err := <-ch; status.Code(err) != codes.Canceled {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		c, d := w.open(t)
		say, hear := exchange(c, d, round, 3, func(int) int { return 50_000 })
		if err := together(say, hear); err != nil {
			t.Fatal(err)
		}
	}
}

// A sender gives up in the middle of a frame while the peer stands still; what follows
// is whole when the peer goes on.
func TestResetWithinFrame(t *testing.T) {
	for _, ends := range []func(testing.TB) (a, b net.Conn){sockets, secured} {
		hold := &stopper{}
		hold.cond = sync.NewCond(&hold.mu)
		w := pairOver(t, func(t testing.TB) (a, b net.Conn) {
			a, b = ends(t)
			return a, &stopped{b, hold}
		}, Options{}, Options{Window: 64 << 20})
		a, _ := w.open(t)
		c, d := w.open(t)
		hold.set(true)
		said := make(chan error)
		go func() {
			for {
				if err := a.Send(nil, make([]byte, 2<<20)); err != nil {
					said <- err
					return
				}
			}
		}()
		select { // until the socket is full
		case err := <-said:
			t.Fatal(err)
		case <-time.After(100 * time.Millisecond):
		}
		a.Reset()
		if err := <-said; status.Code(err) != codes.Canceled {
			t.Fatal(err)
		}
		hold.set(false)
		say, hear := exchange(c, d, 1, 20, func(k int) int { return k * 5000 })
		if err := together(say, hear); err != nil {
			t.Fatal(err)
		}
	}
}

// stopper makes reads wait.
type stopper struct {
	mu   sync.Mutex
	cond *sync.Cond
	on   bool
}

func (s *stopper) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
	s.cond.Broadcast()
}

type stopped struct {
	net.Conn
	s *stopper
}

func (c *stopped) Read(p []byte) (int, error) {
	c.s.mu.Lock()
	for c.s.on {
		c.s.cond.Wait()
	}
	c.s.mu.Unlock()
	return c.Conn.Read(p)
}

// The ends of streams: a caller that is done, a status, a refusal.
func TestEnds(t *testing.T) {
	w := pair(t, Options{}, Options{})
	a, b := w.open(t)
	if err := a.Send([]byte("last"), nil); err != nil {
		t.Fatal(err)
	}
	a.CloseSend()
	if err := a.Send(nil, nil); err == nil {
		t.Error("something is sent behind the end")
	}
	if m, err := read(b, 0); err != nil || string(m) != "last" {
		t.Fatalf("%q, %v", m, err)
	}
	if _, err := b.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the caller's end is %v", err)
	}
	if err := b.Send([]byte("answer"), nil); err != nil {
		t.Fatal(err)
	}
	b.Refuse(status.Error(codes.DataLoss, "100 % größer\n"))
	if m, err := read(a, 0); err != nil || string(m) != "answer" {
		t.Fatalf("%q, %v", m, err)
	}
	for range 2 {
		if _, err := a.Recv(); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "100 % größer\n" {
			t.Errorf("the status is %v", err)
		}
	}

	c, err := w.client.Open("/test.S/Refused", nil)
	if err != nil {
		t.Fatal(err)
	}
	(<-w.accepted).Refuse(status.Error(codes.PermissionDenied, "no"))
	if _, err := c.Header(context.Background()); status.Code(err) != codes.PermissionDenied {
		t.Errorf("header of a refused stream: %v", err)
	}
	if err := c.Send(nil, nil); status.Code(err) != codes.PermissionDenied {
		t.Errorf("sending on a refused stream: %v", err)
	}
	if _, err := w.server.Open("/test.S/M", nil); err == nil {
		t.Error("a listening end opens a stream")
	}
	if _, err := w.client.Open("/test.S/M", metadata.Pairs("big", string(make([]byte, maxControl)))); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("large metadata: %v", err)
	}
	w.client.mu.Lock()
	left := len(w.client.streams)
	w.client.mu.Unlock()
	if left != 0 {
		t.Errorf("%d streams that have ended are kept", left)
	}
}

// Header ends with its context, and the stream can still be used.
func TestHeaderIsGivenUp(t *testing.T) {
	w := pair(t, Options{}, Options{})
	c, err := w.client.Open("/test.S/M", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := <-w.accepted
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Header(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := s.SendHeader(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Header(context.Background()); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		c.Reset()
	}()
	if _, err := c.Recv(); status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
}

// Close drops what comes, however much that is, while what was sent arrives.
func TestCloseOfStream(t *testing.T) {
	w := pair(t, Options{}, Options{})
	for _, callerCloses := range []bool{true, false} {
		a, b := w.open(t)
		if !callerCloses {
			a, b = b, a
		}
		if err := a.Send(nil, content(1, 1, 5000)); err != nil {
			t.Fatal(err)
		}
		a.Close()
		for range 40 {
			if err := b.Send(nil, make([]byte, 1<<20)); err != nil {
				break
			}
		}
		if m, err := read(b, 0); err != nil || !bytes.Equal(m, content(1, 1, 5000)) {
			t.Fatalf("%d bytes, %v", len(m), err)
		}
		if _, err := b.Recv(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := a.Recv(); err == nil {
			t.Fatal("a stream is read behind its Close")
		}
		b.Close()
	}
}

// A peer that does not answer any more, and takes nothing, is left when the time for its
// goodbye is over.
func TestClosePeerThatIsFrozen(t *testing.T) {
	near, far := sockets(t)
	defer far.Close()
	if _, err := far.Write(append([]byte(preface), appendSettings(nil)...)); err != nil {
		t.Fatal(err)
	}
	c, err := Serve(context.Background(), near, Options{}, func(*Stream) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	c.Close(ctx) // would wait for ever
	if ctx.Err() == nil {
		t.Error("the peer was not given its time")
	}
}

// Nobody has to read for the end of the peer, or its pings, to be noticed.
func TestIdle(t *testing.T) {
	w := pair(t, Options{}, Options{})
	a, b := w.open(t)
	say, hear := exchange(a, b, 0, 5, func(int) int { return 1000 })
	if err := together(say, hear); err != nil {
		t.Fatal(err)
	}
	w.client.conn.Close()
	<-w.server.Done()
	if err := w.server.Err(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if _, err := b.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if err := b.Send(nil, nil); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// A stream of the background is read by others.
func TestBackground(t *testing.T) {
	w := pair(t, Options{}, Options{})
	quiet, far := w.open(t)
	far.Background()
	a, b := w.open(t)
	notes := make(chan string, 3)
	go func() {
		defer close(notes)
		for {
			m, err := read(far, 0)
			if err != nil {
				return
			}
			notes <- string(m)
		}
	}()
	for _, text := range []string{"one", "two", "three"} {
		if err := quiet.Send([]byte(text), nil); err != nil {
			t.Fatal(err)
		}
		say, hear := exchange(a, b, 0, 5, func(int) int { return 100_000 })
		if err := together(say, hear); err != nil {
			t.Fatal(err)
		}
		if got := <-notes; got != text {
			t.Fatalf("%q, want %q", got, text)
		}
	}
	quiet.CloseSend()
	if _, more := <-notes; more {
		t.Error("a note more")
	}
}

// Messages that are given up half read.
func TestReleaseEarly(t *testing.T) {
	w := pair(t, Options{}, Options{})
	a, b := w.open(t)
	say, _ := exchange(a, b, 7, 30, func(k int) int { return k * 10_000 })
	if err := together(say, func() error {
		for k := range 30 {
			m, err := b.Recv()
			if err != nil {
				return err
			}
			p, err := m.Next(1 << 30)
			if k == 0 && errors.Is(err, io.EOF) {
				continue
			}
			if err != nil {
				return err
			}
			if want := content(7, k, k*10_000); !bytes.HasPrefix(want, p) {
				return fmt.Errorf("message %d begins otherwise", k)
			}
			if err := m.Into(make([]byte, m.Len()+1)); err == nil {
				return errors.New("more is read than there is")
			}
			if k%2 == 0 {
				m.Release()
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A caller that opens too many streams is refused those, no others.
func TestTooManyStreams(t *testing.T) {
	w := pair(t, Options{}, Options{MaxStreams: 2})
	a, b := w.open(t)
	w.open(t)
	if _, err := w.client.Open("/test.S/M", nil); status.Code(err) != codes.ResourceExhausted {
		t.Fatal(err)
	}
	w.client.mu.Lock()
	w.client.peer.streams = 100 // it does not listen
	w.client.mu.Unlock()
	c, err := w.client.Open("/test.S/M", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Header(context.Background()); status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	say, hear := exchange(a, b, 7, 3, func(k int) int { return 10_000 })
	if err := together(say, hear); err != nil {
		t.Fatal(err)
	}
}
