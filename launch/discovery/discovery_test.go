package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A probe or an exchange that is under way when memberlist stops ends in its own
// time, which a busy machine makes seconds.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(time.Minute); code == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startNode(t *testing.T, id, job string) *Node {
	t.Helper()
	n, err := Start(Config{ID: id, Job: job, BindAddr: "127.0.0.1", Meta: []byte("meta of " + id)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// collect reads events until done says so.
func collect(t *testing.T, n *Node, done func(Event) bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case e := <-n.Events():
			if done(e) {
				return
			}
		case <-late:
			t.Fatalf("%s: not within two minutes", n.cfg.ID)
		}
	}
}

// TestConverges joins eight agents through the first one only, the case in
// which memberlist's own defaults take twenty seconds; how long it took is
// logged.
func TestConverges(t *testing.T) {
	t.Parallel() // most of it is waiting
	const k = 8
	var nodes []*Node
	for i := range k {
		nodes = append(nodes, startNode(t, fmt.Sprintf("agent%d", i), "j"))
	}
	var joining sync.WaitGroup
	defer joining.Wait()
	for _, n := range nodes[1:] {
		joining.Go(func() {
			if err := n.Join(t.Context(), []string{nodes[0].Addr()}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	start := time.Now()
	for i, n := range nodes {
		seen := map[string]bool{}
		collect(t, n, func(e Event) bool {
			if e.Kind == Up {
				if string(e.Meta) != "meta of "+e.ID {
					t.Errorf("%s announces %q", e.ID, e.Meta)
				}
				seen[e.ID] = true
			}
			return len(seen) == k-1
		})
		if seen[fmt.Sprintf("agent%d", i)] {
			t.Errorf("agent%d sees itself", i)
		}
	}
	t.Logf("%d agents saw each other after %v", k, time.Since(start))
}

func TestSaysAndLeaves(t *testing.T) {
	t.Parallel() // most of it is waiting
	a, b := startNode(t, "a", "j"), startNode(t, "b", "j")
	if err := b.Join(context.Background(), []string{a.Addr()}, nil); err != nil {
		t.Fatal(err)
	}
	var addr string
	collect(t, a, func(e Event) bool { addr = e.Addr; return e.Kind == Up && e.ID == "b" })
	big := strings.Repeat("x", 100_000)
	if err := a.Send("b", addr, []byte(big)); err != nil {
		t.Fatal(err)
	}
	collect(t, b, func(e Event) bool { return e.Kind == Said && e.ID == "a" && string(e.Msg) == big })
	if err := b.Leave(); err != nil {
		t.Fatal(err)
	}
	// b is silent but still answers: only its goodbye can tell.
	collect(t, a, func(e Event) bool { return e.Kind == Down && e.ID == "b" })
}

func TestNoticesDeath(t *testing.T) {
	t.Parallel() // most of it is waiting
	a, b := startNode(t, "a", "j"), startNode(t, "b", "j")
	if err := b.Join(context.Background(), []string{a.Addr()}, nil); err != nil {
		t.Fatal(err)
	}
	collect(t, a, func(e Event) bool { return e.Kind == Up })
	start := time.Now()
	b.ml.Shutdown() // without a word
	collect(t, a, func(e Event) bool { return e.Kind == Down && e.ID == "b" })
	t.Logf("noticed after %v", time.Since(start))
}

func TestRefusals(t *testing.T) {
	t.Parallel() // most of it is waiting
	a, b := startNode(t, "a", "one"), startNode(t, "b", "two")
	if err := b.Join(context.Background(), []string{a.Addr()}, nil); err == nil || !strings.Contains(err.Error(), `belongs to job "one", this one to "two"`) {
		t.Errorf("other job: %v", err)
	}
	port := a.ml.LocalNode().Port
	if _, err := Start(Config{ID: "c", Job: "j", BindAddr: "127.0.0.1", Port: int(port)}); err == nil || !strings.Contains(err.Error(), "is occupied") {
		t.Errorf("occupied port: %v", err)
	}
	if _, err := Start(Config{ID: "c", Job: "j", BindAddr: "127.0.0.1", Meta: make([]byte, MaxMeta+1)}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("long announcement: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	warned := 0
	err := a.Join(ctx, []string{"127.0.0.1:1"}, func(error) { warned++ })
	if err == nil || !strings.Contains(err.Error(), "no agent answers") || warned != 1 {
		t.Errorf("nobody there: %v, warned %d times", err, warned)
	}
}

// Who has not the secret, or another one, or has one where the others have
// none, takes no part, is told so, and is not heard.
func TestSecret(t *testing.T) {
	t.Parallel() // most of it is waiting
	secrets := map[string][]byte{"none": nil, "one": []byte("a secret of the job"), "other": []byte("another secret")}
	for mine, m := range secrets {
		for theirs, s := range secrets {
			a, err := Start(Config{ID: "a", Job: "j", BindAddr: "127.0.0.1", Secret: m})
			if err != nil {
				t.Fatal(err)
			}
			b, err := Start(Config{ID: "b", Job: "j", BindAddr: "127.0.0.1", Secret: s})
			if err != nil {
				t.Fatal(err)
			}
			err = b.Join(context.Background(), []string{a.Addr()}, nil)
			if mine == theirs {
				if err != nil {
					t.Errorf("%s and %s: %v", mine, theirs, err)
				}
				collect(t, a, func(e Event) bool { return e.Kind == Up && e.ID == "b" })
				if err := a.Send("b", b.Addr(), []byte("word")); err != nil {
					t.Error(err)
				}
				collect(t, b, func(e Event) bool { return e.Kind == Said && string(e.Msg) == "word" })
				if err := a.Show("b", b.Addr(), []byte("sign")); err != nil {
					t.Error(err)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), "has another secret than this one, or none") {
					t.Errorf("%s and %s: %v", mine, theirs, err)
				}
				b.Send("a", a.Addr(), []byte("word of a stranger"))
				b.Show("a", a.Addr(), []byte("sign of a stranger"))
				select {
				case e := <-a.Events():
					t.Errorf("%s hears %s: %+v", mine, theirs, e)
				case <-time.After(100 * time.Millisecond):
				}
			}
			a.Close()
			b.Close()
		}
	}
}

func TestAdmitBounds(t *testing.T) {
	tr := &transport{most: 2}
	var in []net.Conn
	for range 3 {
		a, b := net.Pipe()
		defer b.Close()
		in = append(in, tr.admit(a))
	}
	for i, c := range in {
		c.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.ErrClosedPipe) != (i == 0) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	in[1].Close()
	if len(tr.open) != 1 || tr.open[0] != in[2] {
		t.Errorf("%d are open", len(tr.open))
	}
}

// Callers that say nothing are sent away.
func TestSilentCallers(t *testing.T) {
	t.Parallel() // most of it is waiting
	n, err := Start(Config{ID: "a/n/1", Job: "j", BindAddr: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var held []net.Conn
	for range 3 * callers {
		c, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a silent caller is kept: %v", err)
		}
	}
}

func TestStreamEnds(t *testing.T) {
	a, b := net.Pipe()
	s := &stream{Conn: a, t: &transport{}, left: 10}
	go func() {
		b.Write(make([]byte, 20))
		b.Close()
	}()
	got, err := io.ReadAll(s)
	if len(got) != 10 || !errors.Is(err, errTooLong) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	s.Close()
}
