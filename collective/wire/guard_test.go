package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/collective"
)

// tap changes and keeps what is written to a connection.
type tap struct {
	net.Conn
	change func([]byte) []byte
	mu     *sync.Mutex
	wrote  *[]byte
}

func (t tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	*t.wrote = append(*t.wrote, b...)
	b = t.change(bytes.Clone(b))
	t.mu.Unlock()
	return t.Conn.Write(b)
}

// meeting runs both parts over a pipe and gives what crossed it.
func meeting(caller, listener string, change func([]byte) []byte) (crossed []byte, callErr, answerErr error) {
	a, b := net.Pipe() // a write returns when it was read
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() {
		answerErr = guard{token: []byte(listener)}.answer(tap{b, change, &mu, &crossed})
		b.Close()
	})
	callErr = guard{token: []byte(caller)}.call(tap{a, change, &mu, &crossed})
	a.Close()
	wg.Wait()
	return crossed, callErr, answerErr
}

func TestGuard(t *testing.T) {
	same := func(b []byte) []byte { return b }
	crossed, call, answer := meeting("a secret", "a secret", same)
	if call != nil || answer != nil {
		t.Errorf("the same token: %v, %v", call, answer)
	}
	if bytes.Contains(crossed, []byte("secret")) {
		t.Error("the token crossed the wire")
	}
	if _, call, answer := meeting("one", "other", same); !errors.Is(call, errToken) || answer == nil {
		t.Errorf("other tokens: %v, %v", call, answer)
	}
	for i := range 3 { // one flipped bit in any of the three messages
		n := 0
		flip := func(b []byte) []byte {
			if n == i {
				b[len(b)-1] ^= 1
			}
			n++
			return b
		}
		if _, call, answer := meeting("a", "a", flip); call == nil && answer == nil {
			t.Errorf("message %d changed: accepted", i)
		}
	}
}

// What one conversation proved is worth nothing in the next.
func TestGuardReplay(t *testing.T) {
	first, _, _ := meeting("a", "a", func(b []byte) []byte { return b })
	hello, proof := first[:len(mark)+helloSize], first[len(first)-32:]
	c, s := net.Pipe()
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- guard{token: []byte("a")}.answer(s); s.Close() }()
	c.Write(hello)
	io.ReadFull(c, make([]byte, helloSize+32))
	c.Write(proof)
	if err := <-done; !errors.Is(err, errToken) {
		t.Errorf("replayed: %v", err)
	}
}

func FuzzGuardAnswer(f *testing.F) {
	f.Add([]byte(mark))
	f.Add(append([]byte(mark), make([]byte, 64)...))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		rw := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard}
		if err := (guard{token: []byte("secret")}).answer(rw); err == nil {
			t.Errorf("%q proves knowledge of the token", said)
		}
	})
}

// FuzzGuardCall is the caller's part of it: whoever answers does not know the token.
func FuzzGuardCall(f *testing.F) {
	f.Add(make([]byte, helloSize+32))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		rw := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard}
		if err := (guard{token: []byte("secret")}).call(rw); err == nil || final(err) != errors.Is(err, errToken) {
			t.Errorf("%q: %v", said, err)
		}
	})
}

// Strangers who connect and say nothing, or something else, keep nobody from
// meeting, working and leaving, and are sent away.
func TestStrangersAtTheDoor(t *testing.T) {
	ls, addrs := listen(t, 2)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	knock := func(n int, say string) {
		for range n {
			c, err := net.Dial("tcp", addrs[0])
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, say)
			held = append(held, c)
		}
	}
	knock(40, "")
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for r := range 2 {
		wg.Go(func() {
			tr, err := Connect(context.Background(), Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r]})
			if err != nil {
				errs[r] = err
				return
			}
			if r == 0 {
				knock(40, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
				knock(1, "")
			}
			c, err := collective.New(tr, collective.Options{Job: "test"})
			if err != nil {
				errs[r] = err
				return
			}
			errs[r] = errors.Join(c.Barrier(context.Background()), c.Close())
		})
	}
	wg.Wait()
	noErrors(t, errs)
	for i, c := range held {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("stranger %d is still connected: %v", i, err)
		}
	}
}

func TestGateBounds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, most: 2}
	var out, in []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if len(out) == 1 {
			g.release(a.(*pending)) // proven: it does not count, nor is it closed for others
		}
		out, in = append(out, c), append(in, a)
	}
	alive := func(i int) bool {
		in[i].SetReadDeadline(time.Now().Add(-time.Second))
		_, err := in[i].Read(make([]byte, 1))
		return !errors.Is(err, net.ErrClosed)
	}
	if alive(0) || !alive(1) || !alive(2) || !alive(3) {
		t.Errorf("open: %t %t %t %t, want all but the oldest", alive(0), alive(1), alive(2), alive(3))
	}
	g.Close()
	if alive(2) || alive(3) || !alive(1) {
		t.Error("an unproven connection outlives the gate, or a proven one does not")
	}
	in[1].Close()
}
